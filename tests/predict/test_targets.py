"""Whatever the scores, what is learned of them is finite, in their order, and leads back."""

import numpy as np
import pytest

from netloom.predict.targets import Targets

RNG = np.random.default_rng(0)
SCORES = {
    "accuracies": 94 - RNG.lognormal(0, 1.5, 60),
    "right tail": RNG.lognormal(0, 2, 60),
    "even": np.arange(20.0),
    "two values": np.array([0.0, 1.0] * 5),
    "mostly the best": np.array([1.0, 2, 2, 2, 2]),
    "diverged": np.r_[-1e30, 1:20],
    "huge": np.r_[1e30, 1:20],
    "mostly equal": np.array([5.0] * 9 + [1.0, 9.0]),
    "one of few": np.r_[[5.0] * 18, 6.0, 1e30],
    "tiny": np.array([0, 1e-300, 2e-300]),
}


@pytest.mark.parametrize("name", SCORES)
def test_order_is_kept_and_led_back(name):
    scores = SCORES[name]
    targets = Targets.of(scores)
    learned = targets.scaled(scores)
    assert np.isfinite(learned).all() and (np.diff(targets.learned) > 0).all()
    assert abs(learned.mean()) < 1e-9 and learned.std() == pytest.approx(1)
    np.testing.assert_allclose(targets.scores(learned), scores, rtol=1e-9)
    assert (np.diff(targets.scores(np.linspace(-4, 4, 50))) > 0).all()


def test_the_tail_does_not_take_all_the_room():
    scores = np.r_[np.linspace(90, 94, 40), 10.0]
    learned = Targets.of(scores).scaled(scores)
    assert learned[39] - learned[0] > 0.35 * (learned[39] - learned[-1])
