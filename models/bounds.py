"""Check the size of a configured network before allocating memory: a weights file may be hostile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from gaitkeeper.models.base import GaitNetwork

LARGEST = 2**20
"""Upper limit of every count in a config: channels, layers, frames, people of a training set."""


def implied_shapes(network: type[GaitNetwork], config: dict[str, Any], most: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the state dict of ``network(Config(**config))``, built without memory for its tensors.

    Args:
        network: its class.
        config: fields of its ``Config``.
        most: limit on the number of parameters (tensors, not numbers).

    Raises:
        TypeError, ValueError, RuntimeError: the config is invalid, or the network exceeds the limit.
    """
    _check_counts(config)
    with torch.device("meta"), _WithoutValues(), _at_most(most):
        built = network(network.Config(**config))
    return {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}


def _check_counts(value: Any) -> None:
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError(f"{value} is beyond any count in a config")
    if isinstance(value, dict | tuple | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_counts(inner)


class _WithoutValues(TorchFunctionMode):
    """Skips the drawing of initial values: tensors without memory have none, and for a draw without memory PyTorch
    would import its compiler and SymPy, which takes a second."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The result of the call; the tensor as it is where values would be drawn."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__ or func in (Tensor.normal_, Tensor.uniform_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def _at_most(parameters: int) -> Iterator[None]:
    """Raise ValueError if this thread registers more parameters than ``most``."""
    thread, count = threading.get_ident(), 0

    def register(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count
        if parameter is None or threading.get_ident() != thread:  # the hook runs in every thread
            return
        count += 1
        if count > parameters:
            raise ValueError(f"its config asks for more than {parameters} parameters")

    handle = register_module_parameter_registration_hook(register)
    try:
        yield
    finally:
        handle.remove()
