"""A recording that knows where its sounds are goes in; words about what is where come out."""
