"""Opening devices."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from longbert.encoders.devices import opened
from longbert.encoders.devices.cuda import CudaDevice
from longbert.encoders.devices.opened import device_of, open_device
from longbert.errors import ConfigError

PRODUCTS = torch.backends.cuda.matmul


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """A device that has no kernels, but streams."""
    before = (
        PRODUCTS.allow_bf16_reduced_precision_reduction,
        PRODUCTS.allow_fp16_reduced_precision_reduction,
        torch.get_float32_matmul_precision(),
    )
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(opened.TorchDriver, "new_stream", lambda self: object())
    device_of.cache_clear()
    yield torch.device("cuda")
    device_of.cache_clear()
    PRODUCTS.allow_bf16_reduced_precision_reduction = before[0]
    PRODUCTS.allow_fp16_reduced_precision_reduction = before[1]
    torch.set_float32_matmul_precision(before[2])


def test_a_process_has_one_object_for_a_device(cuda: torch.device) -> None:
    assert open_device("cpu") is open_device("cpu")
    device = device_of(cuda)
    assert isinstance(device, CudaDevice)
    assert device is device_of(cuda)
    assert device.torch_device == torch.device("cuda", 0)


def test_products_are_as_exact_as_their_type(cuda: torch.device) -> None:
    torch.set_float32_matmul_precision("high")
    device_of(cuda)
    assert torch.get_float32_matmul_precision() == "highest"
    assert not PRODUCTS.allow_tf32
    # Some versions of torch give a pair.
    for flag in (
        PRODUCTS.allow_bf16_reduced_precision_reduction,
        PRODUCTS.allow_fp16_reduced_precision_reduction,
    ):
        assert flag in (False, (False, True), (False, False))


def test_tf32_that_cannot_be_switched_off_is_refused(
    cuda: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda name: None)
    before = PRODUCTS.allow_tf32
    PRODUCTS.allow_tf32 = True
    try:
        with pytest.raises(ConfigError, match="TORCH_ALLOW_TF32_CUBLAS_OVERRIDE is set to 1"):
            device_of(cuda)
    finally:
        PRODUCTS.allow_tf32 = before
