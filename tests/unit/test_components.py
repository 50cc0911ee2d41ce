"""Which components become lesions, and in which order, against a loop over the parts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from bedside.kernels import Components
from bedside.runtime.findings.components import MAX_LESIONS, Rule, choose

from .kernel_views import SEEDS, shapes
from .test_kernels_components import crowded

RULES = st.builds(Rule, instances=st.booleans(), least_voxels=st.sampled_from([0.0, 1.0, 1.5, 4.0]))


@given(shape=shapes(3, most=14, least=1), seed=SEEDS, rules=st.fixed_dictionaries({1: RULES, 2: RULES, 3: RULES}))
def test_lesions_are_the_labels_parts_largest_first(shape, seed, rules) -> None:
    labels = crowded(shape, seed)
    expected, dropped = [], {}
    for label, rule in sorted(rules.items()):
        numbered, _ = ndimage.label(labels == label, np.ones((3, 3, 3)))
        parts = [
            (-int((numbered == number).sum()), tuple(side.start for side in box), numbered == number)
            for number, box in enumerate(ndimage.find_objects(numbered), start=1)
        ]
        large = [part[2] for part in sorted(parts, key=lambda part: part[:2]) if -part[0] >= rule.least_voxels]
        if len(large) < len(parts):
            dropped[label] = len(parts) - len(large)
        expected += large if rule.instances or not large else [np.any(large, axis=0)]
    choice = choose(Components(labels, connectivity=26), rules)
    assert choice.found == len(expected)
    painted = np.zeros(shape, np.uint16)
    choice.lesions.paint(painted)
    if len(expected) > MAX_LESIONS:
        largest = sorted(expected, key=lambda part: -part.sum())[:MAX_LESIONS]
        expected = [part for part in expected if any(part is one for one in largest)]
    else:
        assert choice.dropped == dropped
    assert len(choice.lesions) == len(expected)
    for number, part in enumerate(expected, start=1):
        np.testing.assert_array_equal(painted == number, part)


def test_nothing_has_no_parts() -> None:
    for shape in ((0, 4, 4), (3, 8, 8), (1, 1, 1)):
        choice = choose(Components(np.zeros(shape, np.uint8), connectivity=26), {})
        assert (len(choice.lesions), choice.dropped, choice.found) == (0, {}, 0)


def test_parts_beyond_the_most_are_counted_by_label() -> None:
    labels = np.zeros((1, 40, 80), np.uint8)
    labels[0, ::2, ::2] = 1
    labels[0, :20:2, ::2] = 2
    labels[0, 0, 1], labels[0, 39, 40] = 2, 1
    rule = Rule(instances=True, least_voxels=0.0)
    choice = choose(Components(labels, connectivity=26), {1: rule, 2: rule})
    assert choice.found == 799
    assert choice.lesions.label.tolist() == [1] * 254 + [2]
    assert choice.dropped == {1: 400 - 254, 2: 399 - 1}
    assert choice.lesions.voxels[[0, -1]].tolist() == [2, 3]
