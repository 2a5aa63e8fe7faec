"""Which videos of a data set a run has learned from under other names, found by what their faces show."""

from functools import lru_cache
from pathlib import Path

from dfdc_lightning.audit.duplicates import near_duplicates
from dfdc_lightning.audit.facts import small_faces
from dfdc_lightning.faces.cache import CacheError, FaceCache


@lru_cache(maxsize=4)  # runs of one study learned from the same clips
def copies(own: Path, learned: tuple[str, ...], other: Path, videos: tuple[str, ...]) -> dict[str, str]:
    """Find the videos of one cache that show what a video of another shows, and name that one.

    Args:
        own: The cache that a run learned from.
        learned: The videos it learned from.
        other: Another cache.
        videos: Videos of the other cache.
    """
    named, faces = [], []
    for root, names in ((own, learned), (other, videos)):
        cache = FaceCache(root)
        for name in names:
            try:
                faces.append(small_faces(cache.read_clip(name)))
            except CacheError:  # it gets no score, and its reason where it is scored
                continue
            named.append((root, name))
    found: dict[str, str] = {}
    for pair in near_duplicates(faces, groups=[str(root) for root, _ in named]):
        (_, first), (_, second) = named[pair.a], named[pair.b]
        found.setdefault(second, first)
    return found
