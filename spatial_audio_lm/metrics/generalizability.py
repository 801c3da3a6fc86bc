"""s(m): how much of what the best known model gains over a baseline a model gains too, over many tasks.

One number for a whole benchmark of frozen embeddings. A model that is worse than the baseline on a task gets nothing
for it, not less than nothing; one that is better than the best known gets all of it, not more.
"""

from collections.abc import Mapping

import numpy as np

from spatial_audio_lm.errors import DataError


def generalizability_score(
    scores: Mapping[str, float], baseline: Mapping[str, float], best: Mapping[str, float]
) -> float:
    """Mean over the tasks of `100 * clip((score - baseline) / (best - baseline), 0, 1)`, from 0 to 100.

    A task on which the best known model is not better than the baseline counts 0 for every model.

    Args:
        scores: of the model, by task; higher is better, in any unit that the other two are in as well. Errors, where
            lower is better, are to be given with a minus sign.
        baseline: of the baseline, by task (the paper: HEAR-Naive, a log-mel spectrogram).
        best: of the best known model, by task.

    Raises:
        DataError: no task, tasks that not all three have, or a score that is not finite.

    Source:
        GRAM (Yuksel, van Gerven, van der Heijden 2025), appendix E. Not part of the published code. The paper does
        not list its best known scores: with the best of its own table 5 this gives 77.6 to GRAM-Binaural, the table
        74.6. Compare only numbers that were made with the same `best`.
    """
    tasks = sorted(scores)
    if not tasks:
        raise DataError("there is no task: give the score of at least one")
    for name, others in (("baseline", baseline), ("best", best)):
        if set(others) != set(tasks):
            raise DataError(
                f"scores are of {', '.join(tasks)}, {name} of {', '.join(sorted(others)) or 'none'}: "
                "give the same tasks to all"
            )
    table = np.array([[scores[task], baseline[task], best[task]] for task in tasks], dtype=np.float64)
    if not np.isfinite(table).all():
        task = tasks[int(np.nonzero(~np.isfinite(table).all(axis=1))[0][0])]
        raise DataError(f"a score of {task} is NaN or infinite: leave the task out of all three")
    gain, possible = table[:, 0] - table[:, 1], table[:, 2] - table[:, 1]
    share = np.divide(gain, possible, out=np.zeros_like(gain), where=possible > 0)
    return float(100.0 * share.clip(0.0, 1.0).mean())
