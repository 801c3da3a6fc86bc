"""`spatial-audio-lm models`: what can be loaded."""

from dataclasses import asdict
from typing import Any

from spatial_audio_lm.cli.options import Debug, Json
from spatial_audio_lm.cli.output import print_json
from spatial_audio_lm.models.checkpoints import PACKAGED_FOLDER, PUBLISHED, packaged_names


def models(json: Json = False, debug: Debug = False) -> None:
    """List the checkpoints inside the package, and the published ones that `convert` can read."""
    packaged: list[dict[str, Any]] = [
        {
            "name": name,
            "folder": str(PACKAGED_FOLDER / name),
            "bytes": sum(path.stat().st_size for path in (PACKAGED_FOLDER / name).rglob("*") if path.is_file()),
        }
        for name in packaged_names()
    ]
    if json:
        print_json({"packaged": packaged, "published": [asdict(checkpoint) for checkpoint in PUBLISHED]})
        return
    print("In the package (for --model and from_pretrained(packaged(name))):")
    for entry in packaged:
        print(f"  {entry['name']}  {entry['bytes'] / 1e6:.1f} MB  {entry['folder']}")
    if not packaged:
        print("  none")
    print("\nPublished by others (download, then spatial-audio-lm convert):")
    for checkpoint in PUBLISHED:
        files = "".join(f" {name}" for name in (checkpoint.file, *checkpoint.beside) if name)
        source = checkpoint.name + (f"/{checkpoint.file}" if checkpoint.file else "")
        print(f"  {checkpoint.name}  ({checkpoint.license})")
        print(f"    {checkpoint.url or f'https://huggingface.co/{checkpoint.hub_id}'}")
        print(f"    {checkpoint.description}")
        if checkpoint.hub_id:
            print(f"    hf download {checkpoint.hub_id}{files} --local-dir {checkpoint.name}")
        else:
            print(f"    download it in a browser, as {source}")
        options = f" {checkpoint.options}" if checkpoint.options else ""
        print(f"    spatial-audio-lm convert {checkpoint.converter} {source} OUT{options}")
