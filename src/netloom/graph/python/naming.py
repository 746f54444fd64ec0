"""Names in generated source: classes from module paths, variables from what their values are, and access to members.

Only identifiers made here and the `repr` of strings reach the source, whatever the keys of a graph look like.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_WORDS = re.compile(r"[A-Za-z][a-z0-9]*|[0-9]+")
#: Public attributes of nn.Module: a child or weight of such a name is reached through the module's registry.
_TAKEN = frozenset("""
    T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval
    extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules mtia
    named_buffers named_children named_modules named_parameters parameters requires_grad_ set_extra_state set_submodule
    share_memory state_dict to to_empty train training type xpu zero_grad
""".split())  # fmt: skip
_ABBREVIATIONS = {
    "attn": "Attention", "mlp": "MLP", "ffn": "FeedForward", "bn": "Norm", "fc": "Linear", "proj": "Projection", "se": "SE",
    "aspp": "ASPP", "fpn": "FPN", "conv1x1": "Conv1x1", "lstm": "LSTM", "gru": "GRU", "rnn": "RNN", "vit": "ViT",
    "emb": "Embedding", "embed": "Embedding", "embeddings": "Embeddings", "enc": "Encoder", "dec": "Decoder", "cls": "Head",
}  # fmt: skip
#: Names that generated files use for something else.
OWN_NAMES = frozenset("""
    F Tensor nn torch packed setitem tensors OrderedDict namedtuple base64 zlib True False None self super zip enumerate range
    float complex slice
""".split())  # fmt: skip


def is_identifier(name: str) -> bool:
    """Whether ``name`` is an ASCII identifier that Python has no use for."""
    return bool(_IDENTIFIER.match(name)) and not keyword.iskeyword(name)


def is_plain(name: str) -> bool:
    """Whether ``self.name`` works as an attribute: an identifier that neither Python nor nn.Module has a use for."""
    return is_identifier(name) and name not in _TAKEN and not name.startswith("register_")


def member(owner: str, name: str, registry: str) -> str:
    """The expression for a child (registry ``_modules``), parameter or buffer of a module.

    >>> member("self", "conv", "_modules"), member("self", "type", "_modules"), member("self", "a b", "_modules")
    ('self.conv', 'self._modules["type"]', 'self._modules["a b"]')
    """
    return f"{owner}.{name}" if is_plain(name) else f"{owner}.{registry}[{quoted(name)}]"


def quoted(text: str) -> str:
    """A string literal in the quotes that formatters prefer."""
    plain = ascii(text)
    if plain[0] == "'" and '"' not in plain:
        return f'"{plain[1:-1]}"'
    return plain


def camel(words: str) -> str:
    """``self_attn`` → ``SelfAttention``."""
    found = []
    for part in words.split("_"):
        if part in _ABBREVIATIONS:
            found.append(_ABBREVIATIONS[part])
        else:
            found += [word[:1].upper() + word[1:] for word in _WORDS.findall(part)]
    name = "".join(found)
    return name if name and name[0].isalpha() else ""


def singular(word: str) -> str:
    """``layers`` → ``layer``; words that are no plural stay."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def class_candidates(path: str) -> list[str]:
    """Names for the class of the module at ``path``, the shortest first.

    >>> class_candidates("bert.encoder.layer.0.attention")[:2], class_candidates("layer1.0")[0]
    (['Attention', 'LayerAttention'], 'Layer1Block')
    """
    words: list[str] = []
    parts = [part for part in path.split(".") if part]
    for i, part in enumerate(parts):
        if not part.isdigit():
            words.append(camel(part))
        elif i and not parts[i - 1].isdigit() and words:
            single = singular(parts[i - 1])
            plain = single != parts[i - 1] or not parts[i - 1][-1].isdigit()
            words[-1] = camel(single) if plain else f"{words[-1]}Block"
    words = [word for word in words if word]
    if words and words[-1] == "Self" and len(words) > 1:
        words[-2:] = [f"Self{words[-2]}"]
    found = ["".join(words[-n:]) for n in range(1, len(words) + 1)]
    return [name for name in found if name not in OWN_NAMES] or ["Block"]


def numbered(names: Collection[str]) -> tuple[str, int] | None:
    """The prefix and first number of names such as ``layer_0, layer_1, layer_2``; None where they are no such series."""
    found = [re.fullmatch(r"([A-Za-z_]\w*?)(\d+)", name) for name in names]
    if len(found) < 2 or not all(found):
        return None
    stems, numbers = {m[1] for m in found if m}, [int(m[2]) for m in found if m]
    series = numbers == list(range(numbers[0], numbers[0] + len(numbers))) and all(m and str(int(m[2])) == m[2] for m in found)
    return (stems.pop(), numbers[0]) if len(stems) == 1 and series else None


def unique(name: str, taken: Collection[str]) -> str:
    """``name``, with a number where it is taken."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name}{number}" if not name[-1].isdigit() else f"{name}_{number}", number + 1
    return found


def argument_name(name: str, position: int, taken: Collection[str]) -> str:
    """An identifier for an argument of the network."""
    if not _IDENTIFIER.match(name) or keyword.iskeyword(name) or name in OWN_NAMES:
        name = f"arg_{position}"
    while name in taken:
        name += "_"
    return name
