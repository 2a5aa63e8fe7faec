"""Groups stay whole, labels stay balanced, and nothing depends on the order in which videos are listed."""

import math
import random
from collections import Counter

import pytest

from dfdc_lightning.errors import UserError
from dfdc_lightning.faces.cache import FAKE, REAL, SPLITS, Row
from dfdc_lightning.faces.quota import Quota, shard_of
from dfdc_lightning.faces.split import ByGroup, ByOfficial, ByPart, ByVideo, Candidate, group_of, shares, torn


def dfdc(n_groups: int, fakes: int = 5, parts: int = 50) -> list[Candidate]:
    """REAL videos with 0 to 2·fakes FAKEs each, as DFDC has them."""
    rng = random.Random(0)
    videos = []
    for group in range(n_groups):
        part = str(group % parts)
        videos.append(Candidate(f"r{group}", REAL, "", part))
        videos += [
            Candidate(f"f{group}_{k}", FAKE, f"r{group}", part) for k in range(rng.randint(0, 2 * fakes))
        ]
    return videos


def run(plan: Quota, bad: frozenset[str] = frozenset()) -> list[Row]:
    """Look at whatever the plan waits for until it waits no more."""
    labels = {name: label for (_, label), queue in plan.queues.items() for name in queue}
    outcomes: dict[str, Row] = {}
    while pending := plan.pending({name: row.status == "ok" for name, row in outcomes.items()}):
        for name in pending:
            outcomes[name] = Row(name, labels[name], status="no_face" if name in bad else "ok")
    return plan.rows(outcomes)


def cells(rows: list[Row]) -> dict[tuple[str, str], int]:
    return dict(Counter((row.split, row.label) for row in rows if row.split))


def test_the_quota_of_the_study_is_filled_exactly() -> None:
    rows = run(Quota(dfdc(2500), ByGroup(), 1568))
    expected = {"train": 1254, "val": 157, "test": 157}
    assert cells(rows) == {(split, label): n for split, n in expected.items() for label in (REAL, FAKE)}
    assert sum(2 * n for n in expected.values()) == 2508 + 314 + 314


def test_the_quota_is_filled_even_if_there_are_only_as_many() -> None:
    videos = [
        video for k in range(1568) for video in (Candidate(f"r{k}", REAL), Candidate(f"f{k}", FAKE, f"r{k}"))
    ]
    for seed in range(3):
        assert cells(run(Quota(videos, ByGroup(seed), 1568)))["train", REAL] == 1254
        assert cells(run(Quota(videos, ByGroup(seed), None)))["test", FAKE] == 157


def test_a_group_never_crosses_splits() -> None:
    rows = run(Quota(dfdc(500), ByGroup(), 100))
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row.group, set()).add(row.split)
    assert len(splits) > 100
    assert all(len(where - {""}) <= 1 for where in splits.values())


def test_a_chain_of_originals_is_one_group_named_by_its_source() -> None:
    chain = [
        Candidate("c", FAKE, "b"),
        Candidate("b", FAKE, "a"),
        Candidate("x", FAKE, "a"),
        Candidate("z", REAL),
    ]
    assert group_of(chain) == {"c": "a", "b": "a", "x": "a", "z": "z"}
    assert group_of(chain[::-1]) == group_of(chain)


def test_both_originals_and_whoever_is_seen_bind_a_group() -> None:
    swap = Candidate("f", FAKE, "a/b")
    assert group_of([Candidate("a", REAL), Candidate("b", REAL), swap]) == dict.fromkeys("abf", "a")
    two_of_one = [Candidate("p", REAL, person="1"), Candidate("q", REAL, person="1")]
    other = Candidate("r", FAKE, person="1/2")
    assert group_of([*two_of_one, other, Candidate("z", REAL, person="3")]) == {
        **dict.fromkeys("pqr", "p"),
        "z": "z",
    }


def test_two_fakes_of_one_absent_source_are_one_group() -> None:
    assert set(group_of([Candidate("a", FAKE, "gone"), Candidate("b", FAKE, "gone")]).values()) == {"gone"}


def test_originals_in_a_circle_are_one_group() -> None:
    assert len(set(group_of([Candidate("a", FAKE, "b"), Candidate("b", FAKE, "a")]).values())) == 1


def test_the_choice_does_not_depend_on_the_order_of_listing() -> None:
    videos = dfdc(300)
    expected = run(Quota(videos, ByGroup(), 50))
    for seed in range(3):
        random.Random(seed).shuffle(videos)
        assert run(Quota(videos, ByGroup(), 50)) == expected


def test_another_seed_chooses_other_videos() -> None:
    used = [{row.video for row in run(Quota(dfdc(300), ByGroup(seed), 50)) if row.split} for seed in (0, 1)]
    assert len(used[0] & used[1]) < 60


def test_failures_are_replaced_by_the_next_in_order_and_keep_their_rows() -> None:
    good = run(Quota(dfdc(300), ByGroup(), 50))
    bad = frozenset(sorted(row.video for row in good if row.label == REAL)[:7])
    rows = run(Quota(dfdc(300), ByGroup(), 50), bad)
    assert cells(rows) == cells(good)
    assert {row.video for row in rows if row.status == "no_face"} == bad
    assert {row.video for row in rows} > {row.video for row in good}
    assert len(rows) == len(good) + 7
    assert all(row.split == "" for row in rows if row.video in bad)


def test_what_is_looked_at_does_not_depend_on_who_is_first() -> None:
    bad = frozenset(f"r{k}" for k in range(0, 300, 3))
    videos = dfdc(300)
    expected = {row.video for row in run(Quota(videos, ByGroup(), 50), bad)}
    plan, known, rng = Quota(videos, ByGroup(), 50), {}, random.Random(1)
    while pending := plan.pending(known):
        name = rng.choice(sorted(pending))  # one at a time, in any order
        known[name] = name not in bad
    assert set(known) == expected


def test_a_quota_beyond_the_source_gives_a_smaller_balanced_set() -> None:
    rows = run(Quota(dfdc(40), ByGroup(), 1568), frozenset({"r1", "r2"}))
    table = cells(rows)
    assert all(table[split, REAL] == table[split, FAKE] > 0 for split in SPLITS)
    assert sum(table.values()) < 2 * 40


def test_shards_share_the_work_without_overlap() -> None:
    names = [video.name for video in dfdc(300)]
    sizes = Counter(shard_of(name, 4) for name in names)
    assert sorted(sizes) == [0, 1, 2, 3]
    assert max(sizes.values()) < 1.3 * min(sizes.values())


@pytest.mark.parametrize("n", [3, 4, 5, 10, 80, 1568])
def test_shares_add_up_and_leave_no_split_empty(n: int) -> None:
    divided = shares(n, {"train": 0.8, "val": 0.1, "test": 0.1})
    assert sum(divided.values()) == n
    assert min(divided.values()) >= 1


@pytest.mark.parametrize(
    "fractions",
    [{"train": -1.0, "val": 1.0}, {"train": 0.0}, {"dev": 1.0}, {"val": math.nan}],
)
def test_fractions_that_divide_nothing_are_named(fractions: dict[str, float]) -> None:
    with pytest.raises(UserError, match="split.fractions must give shares"):
        shares(10, fractions)


def test_parts_keep_to_their_ranges() -> None:
    videos = dfdc(1000)
    part = {video.name: int(video.part) for video in videos}
    rows = run(Quota(videos, ByPart(), 100))
    ranges = {"train": range(35), "val": range(35, 40), "test": range(40, 50)}
    assert all(part[row.video] in ranges[row.split] for row in rows if row.split)
    assert cells(rows) == {
        (s, label): n for s, n in {"train": 70, "val": 10, "test": 20}.items() for label in (REAL, FAKE)
    }


def test_a_group_across_part_ranges_is_left_out_whole() -> None:
    videos = [*dfdc(200), Candidate("torn", FAKE, "r0", "49"), Candidate("r0_twin", FAKE, "r0", "0")]
    plan = Quota(videos, ByPart(), None)
    assert not any(row.group == "r0" for row in run(plan))


@pytest.mark.parametrize(
    ("splitter", "word"),
    [
        (ByPart(train="0-x"), "0-x"),
        (ByPart(val="30-40"), "30-40"),
        (ByPart(test="-4"), "-4"),
        (ByPart(train="34-0"), "34-0"),
    ],
)
def test_a_wrong_range_of_parts_is_named(splitter: ByPart, word: str) -> None:
    with pytest.raises(UserError, match=word):
        splitter.assign({})


def test_by_part_needs_numbered_folders() -> None:
    with pytest.raises(UserError, match="by_group"):
        Quota([Candidate("a", REAL), Candidate("b", FAKE, "a")], ByPart(), 10)


def pairs(n: int, **more: str) -> list[Candidate]:
    return [
        candidate._replace(**more)
        for number in range(n)
        for candidate in (Candidate(f"r{number}", "REAL"), Candidate(f"f{number}", "FAKE", f"r{number}"))
    ]


def test_by_video_tears_groups_apart_and_by_group_does_not() -> None:
    videos = pairs(50)
    groups = group_of(videos)
    for splitter, tears in ((ByGroup(), False), (ByVideo(), True)):
        quota = Quota(videos, splitter, None)
        used = quota.used({video.name: True for video in videos})
        assert quota.group == groups  # intervals are over groups, however the split was made
        assert bool(torn(groups, used)) == tears
        n = {split: [*used.values()].count(split) for split in ("train", "val", "test")}
        assert n == {"train": 80, "val": 10, "test": 10}


def test_the_official_split_is_taken_and_validation_made_where_there_is_none() -> None:
    videos = [
        *pairs(20, official="train"),
        *[video._replace(name=f"t{video.name}", official="test", original="") for video in pairs(5)],
        Candidate("nobody-s", "REAL"),
    ]
    split = ByOfficial(val=0.2).assign(
        {
            name: [v for v in videos if group_of(videos)[v.name] == name]
            for name in {*group_of(videos).values()}
        }
    )
    assert {split[video.name] for video in videos[-11:-1]} == {"test"}
    assert "nobody-s" not in split
    assert sorted(split[video.name] for video in videos[:40]) == ["train"] * 32 + ["val"] * 8
    assert all(split[f"r{number}"] == split[f"f{number}"] for number in range(20))
    given = [video._replace(official="val") if video.name == "r3" else video for video in videos]
    kept = ByOfficial().assign({video.name: [video] for video in given})
    assert [name for name, where in kept.items() if where == "val"] == ["r3"]
    with pytest.raises(UserError, match="use split=by_group"):
        ByOfficial().assign({"r": [Candidate("r", "REAL")]})
