"""What a step changed in a torch module, written down so that it can be built again unpickled.

A module is rebuilt by the code that built the original (a factory, transformers) and then brought
to the recorded :class:`Structure`: children of lists are dropped, numbers that forward methods
read are set, and every parameter takes the shape that the stored weights have.
"""

from __future__ import annotations

from typing import Any

from workbench.errors import ModelError
from workbench.records import Structure

Number = int | tuple[int, ...]


def keep_children(module: Any, path: str, kept: tuple[int, ...]) -> None:
    """Drop all children of a list of modules (ModuleList, Sequential) but those at positions.

    Raises:
        ModelError: there is no such list in the module, or no such position in it.
    """
    try:
        container = module.get_submodule(path)
        children = list(container.children())
        chosen = [children[position] for position in kept]
    except (AttributeError, IndexError) as error:
        raise ModelError(f"The model has no layers {list(kept)} in '{path}'.") from error
    for name in list(container._modules):
        del container._modules[name]
    for position, child in enumerate(chosen):
        container.add_module(str(position), child)


def apply_structure(module: Any, structure: Structure, state: dict[str, Any]) -> None:
    """Bring a freshly built module to a recorded structure, and make room for its weights.

    Args:
        module: as its factory or transformers built it; changed in place.
        structure: what to change.
        state: the weights that it will load, which give the shapes.

    Raises:
        ModelError: the structure is of another module.
    """
    import torch

    for path, kept in structure.kept.items():
        keep_children(module, path, kept)
    modules = dict(module.named_modules())
    for path, attributes in structure.attributes.items():
        if path not in modules:
            raise ModelError(f"The model has no module '{path}', which a step has changed.")
        for name, value in attributes.items():
            setattr(modules[path], name, value)
    for path, part in modules.items():
        prefix = f"{path}." if path else ""
        for name, held in list(part._parameters.items()):
            wanted = state.get(prefix + name)
            if held is not None and wanted is not None and held.shape != wanted.shape:
                part._parameters[name] = torch.nn.Parameter(torch.empty_like(wanted))
        for name, held in list(part._buffers.items()):
            wanted = state.get(prefix + name)
            if held is not None and wanted is not None and held.shape != wanted.shape:
                part._buffers[name] = torch.empty_like(wanted)


def attributes_that_differ(changed: Any, original: Any) -> dict[str, dict[str, Number]]:
    """The whole numbers (and tuples of them) that modules of the same path hold differently.

    Args:
        changed: the module after a step; its lists of layers are the original's.
        original: as it was built.
    """
    before = {path: _numbers(part) for path, part in original.named_modules()}
    found = {}
    for path, part in changed.named_modules():
        known = before.get(path, {})
        differing = {n: v for n, v in _numbers(part).items() if n in known and known[n] != v}
        if differing:
            found[path] = differing
    return found


def _numbers(part: Any) -> dict[str, Number]:
    def number(value: Any) -> bool:
        if isinstance(value, tuple):
            return all(isinstance(item, int) for item in value)
        return isinstance(value, int) and not isinstance(value, bool)

    return {
        name: tuple(value) if isinstance(value, tuple) else value
        for name, value in vars(part).items()
        if not name.startswith("_") and number(value)
    }
