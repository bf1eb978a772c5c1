import numpy as np
import pytest

from sklearn_deepnn.network.layers.averaging import averaging_column


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [1, 3, 200])
def test_the_product_with_the_column_is_the_mean_over_examples(m, dtype):
    dZ = np.random.default_rng(0).normal(size=(4, m)).astype(dtype)
    mean = dZ @ averaging_column(m, dZ.dtype, m)
    assert mean.dtype == dtype
    np.testing.assert_allclose(mean, dZ.mean(axis=1, keepdims=True), rtol=1e-4 if dtype == np.float32 else 1e-12)


def test_the_column_that_all_share_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        averaging_column(3, np.dtype(np.float64), 3)[0] = 1
