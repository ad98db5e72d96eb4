import pytest
import torch

from graphrec.contrastive.low_precision import bf16_products

SETTING = torch.backends.mkldnn.matmul


def test_the_setting_is_put_back_whatever_happens():
    x, before = torch.ones(2, 2), SETTING.fp32_precision
    with bf16_products(True, x) as (low,):
        assert low is x
        assert SETTING.fp32_precision == 'bf16'
    assert SETTING.fp32_precision == before
    with pytest.raises(ValueError), bf16_products(True, x):
        raise ValueError
    assert SETTING.fp32_precision == before


def test_off_it_changes_nothing():
    x, before = torch.ones(2, 2), SETTING.fp32_precision
    with bf16_products(False, x, x) as tables:
        assert all(table is x for table in tables)
        assert SETTING.fp32_precision == before


def test_products_are_rounded_to_bf16_at_most():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 64, generator=generator)
    with bf16_products(True, x) as (low,):
        product = low @ low.t()
    rounded = x.bfloat16().float()
    wanted = rounded @ rounded.t() if not torch.equal(product, x @ x.t()) else x @ x.t()
    torch.testing.assert_close(product, wanted, atol=1e-4, rtol=1e-4)
