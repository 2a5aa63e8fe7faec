"""The table that ends a preparation: clips by split and label, videos by status, and where the cache is."""

from collections import Counter
from collections.abc import Sequence

from dfdc_lightning.faces.cache import FAKE, REAL, SPLITS, FaceCache, Row, counts
from dfdc_lightning.faces.quota import Quota
from dfdc_lightning.faces.shard import Shard
from dfdc_lightning.faces.split_record import split_facts


def summary(cache: FaceCache, quota: Quota, rows: Sequence[Row], shard: Shard) -> str:
    """Write the closing table, with warnings where the quota is not filled."""
    if shard.n > 1:
        n = sum(row.status == "ok" for row in rows)
        return (
            f"shard {shard.number}/{shard.n} is done ({n} good clips in {cache.root} so far): "
            "when all are, run once without shard"
        )
    table = counts(rows)
    lines = [f"{'split':8}{REAL:>8}{FAKE:>8}"]
    lines += [f"{split:8}{table[split][REAL]:8}{table[split][FAKE]:8}" for split in SPLITS]
    lines.append("videos  " + tallied(Counter(row.status for row in rows)))
    spare = sum(row.status == "ok" and not row.split for row in rows)
    n = sum(table[split][REAL] for split in SPLITS)
    if spare:
        enough = f"per_label={quota.per_label} asks for no more"
        reason = enough if n == quota.per_label else "the other label has no more to balance them"
        lines.append(f"        {spare} good but not used: {reason}")
    if quota.balanced and quota.per_label is not None and n < quota.per_label:
        lines.append(
            f"warning: {n} clips per label instead of per_label={quota.per_label}: the source has no more"
        )
    if n_torn := split_facts(rows)["torn"]:
        lines.append(
            f"warning: {n_torn} groups lie in several splits: what is tested may have been trained on"
        )
    empty = [split for split in SPLITS if not sum(table[split].values())]
    if empty:
        lines.append(
            f"warning: no clips in {', '.join(empty)}: too few groups or good videos for three splits"
        )
    lines.append(f"cache   {cache.root} (profile {rows[0].profile if rows else '-'})")
    return "\n".join(lines)


def tallied(n: Counter[str]) -> str:
    """Write counts by status, the largest first: "ok 40, no_face 2"."""
    return ", ".join(f"{status} {count}" for status, count in n.most_common())
