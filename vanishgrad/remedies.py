"""What helps against vanishing and exploding gradients: one table, which advice and `vanishgrad cure` read.

A row has a name, the overrides to type, the reason why it helps, its source, and the same in words of
PyTorch. Those with a class name are choices of the group `remedy`, as in `vanishgrad train remedy=clipping
remedy.max_norm=0.5`. Whether a remedy fits is asked of the run: `vanishgrad.description.fitting_remedies`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from vanishgrad.errors import positive

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """The classes of `remedy=NAME`, such as UseBatchNorm, are made from the rows."""


Lookup: TypeAlias = Callable[[str], Any]  # the value of a key such as `act`, `data.length` or `act.bounded`
NUMBER, PARAMETER = re.compile(r"[*@].+"), re.compile(r"\{(\w+)\}")
WORD = re.compile(r"(?!(?:null|true|false|nan|inf)\Z)[A-Za-z_/][\w./-]*", re.ASCII | re.IGNORECASE)  # is text
CONDITION = re.compile(r"(!?)([\w.]+)(?:(!=|>=|<=|=)(.*))?")


@dataclass(frozen=True)
class Change:
    """A row of the table: a change of a setting that may help.

    Its fields are the parameters, which the class of each row adds; what it is stands in that class.

    Example:
        >>> from vanishgrad.remedies import UseClipping
        >>> UseClipping(max_norm=0.5).changes
        {'clip': 'norm', 'clip.max_norm': 0.5}
    """

    name: ClassVar[str]
    overrides: ClassVar[str]
    """What to type: `{slope}` is a parameter, `*0.1` a multiple of the setting's number, `@key` another."""
    reason: ClassVar[str]
    source: ClassVar[str]
    torch: ClassVar[str]
    """The same for a model of somebody else's; empty where it has no such thing."""
    where: ClassVar[str]
    """Conditions on the setting under which it is worth advising, see `holds`."""
    tried: ClassVar[str | None]
    """Conditions under which `cure` tries it; None: only when it is advised."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if f"*{{{item.name}}}" in self.overrides:
                positive(f"remedy.{item.name}", getattr(self, item.name))

    @property
    def changes(self) -> dict[str, Any]:
        """Key -> value of all that it sets, its parameters filled in."""
        return {key: self._value(text) for key, text in parsed(self.overrides).items()}

    @property
    def typed(self) -> str:
        """What to type for it with the parameters that it has by default."""
        relative = any(NUMBER.match(str(value)) for value in self.changes.values())
        if isinstance(self, Remedy) and not relative:
            return f"remedy={self.name}"
        return " ".join(
            f"{key}={value if NUMBER.fullmatch(str(value)) else typed_text(value)}"
            for key, value in self.changes.items()
        )

    def _value(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if whole := PARAMETER.fullmatch(value):
            return getattr(self, whole[1])
        return PARAMETER.sub(lambda match: repr(getattr(self, match[1])), value)


@dataclass(frozen=True)
class Remedy(Change):
    """A treatment of a setting."""


def parsed(overrides: str) -> dict[str, Any]:
    """Key -> value of overrides that are separated by blanks: numbers, lists, truth values, or text."""
    pairs = [text.partition("=")[::2] for text in overrides.split()]
    return {key: _plain(value) for key, value in pairs}


def typed_text(value: Any) -> str:
    """A value as it is typed: `null`, `true`, `[0.5,0.9]`, `relu`, `'two words'`."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(typed_text, value))}]"
    return _quoted(value) if isinstance(value, str) and not WORD.fullmatch(value) else str(value)


def _quoted(text: str) -> str:
    """A text in quotes: behind backslashes neither a quote ends it nor is `${` an interpolation."""
    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    return "'" + re.sub(r"(\\*)('|\Z)", lambda end: 2 * end[1] + (end[2] and "\\'"), literal) + "'"


def lookup(setting: Mapping[str, Any], answers: Mapping[str, Any] = MappingProxyType({})) -> Lookup:
    """Gives the value of a key of a setting: of `act` the name, of `act.slope` a parameter.

    Arguments:
        setting: as run.json has it, numbers as they are, a choice as `{"name": ..., parameter: value}`.
        answers: what else is known, such as `act.bounded`. None is the value of what is not.
    """

    def value(key: str) -> Any:
        group, _, parameter = key.partition(".")
        own = answers.get(key, setting.get(group))
        if isinstance(own, Mapping):
            return own.get(parameter or "name")
        return own if not parameter or key in answers else None

    return value


def filled(changes: Mapping[str, Any], value: Lookup) -> dict[str, Any]:
    """The changes with plain numbers in place of `*0.1`, a multiple of the setting's own, and `@data.length`.

    Raises:
        KeyError: when the setting has no such number.

    Example:
        >>> filled({"lr": "*0.5", "model.chrono": "@data.length"}, {"lr": 0.2, "data.length": 50}.get)
        {'lr': 0.1, 'model.chrono': 50}
    """
    return {key: _filled(key, new, value) for key, new in changes.items()}


def holds(conditions: str, value: Lookup) -> bool:
    """Whether a setting meets all conditions, which are separated by blanks; `a|b` is either of two.

    Example:
        >>> setting = {"depth": 8, "norm": "none", "act.bounded": True}
        >>> holds("depth>=3 norm!=batch,layer", setting.get), holds("!act.bounded|depth<=5", setting.get)
        (True, False)
    """
    return all(any(_holds(part, value) for part in text.split("|")) for text in conditions.split())


def _holds(condition: str, value: Lookup) -> bool:
    match = CONDITION.fullmatch(condition)
    assert match, condition
    negated, key, sign, right = match.groups()
    own = value(key)
    if not sign:
        return own is not None and bool(own) != bool(negated)
    if sign in ("=", "!="):
        return (typed_text(own) in right.split(",")) == (sign == "=")
    number = isinstance(own, int | float) and not isinstance(own, bool)
    return number and (own >= float(right) if sign == ">=" else own <= float(right))


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _filled(key: str, new: Any, value: Lookup) -> Any:
    if not (isinstance(new, str) and NUMBER.fullmatch(new)):
        return new
    own = value(key if new[0] == "*" else new[1:])
    if isinstance(own, bool) or not isinstance(own, int | float):
        raise KeyError(key)
    factor = _plain(new[1:]) if new[0] == "*" else 1
    return own * factor


TABLE: dict[str, Change] = {}  # by name, in the order of what helps most networks most


def _row(
    choice: str, name: str, overrides: str, source: str = "", *, reason: str, torch: str = "",
    where: str = "", tried: str | None = None, summary: str = "", **parameters: tuple[Any, str],
) -> None:  # fmt: skip
    """Add a remedy; one for `remedy=NAME` has a class `choice`, and parameters (default, meaning)."""
    said = (summary or overrides.partition(" ")[0]) + (f" ({source})" if source else "") + "."
    meanings = "".join(f"\n    {key}: {meaning}" for key, (_, meaning) in parameters.items())
    about: dict[str, Any] = {
        "__doc__": said + (f"\n\nArguments:{meanings}" if meanings else ""), "__module__": __name__,
        "name": name, "overrides": overrides, "reason": reason, "source": source, "torch": torch,
        "where": where,
        "tried": "" if choice and tried is None else tried,
    }  # fmt: skip
    numbers = [(key, _type(default), field(default=default)) for key, (default, _) in parameters.items()]
    kind = make_dataclass(
        choice or name, numbers, bases=(Remedy if choice else Change,), namespace=about, frozen=True
    )
    TABLE[name] = kind()
    if choice:
        globals()[choice] = kind


def _type(default: Any) -> Any:
    return float | None if default is None else type(default)


def _rate(optimizer: str) -> tuple[Any, str]:
    why = "since the rate of another optimizer means nothing to it"
    return None, f"learning rate; null is {optimizer}'s default, {why}."


SIZED = (
    "model.feedforward init!=default,xavier,he,lecun,lsuv"  # the size of the initial weights is the user's
)
ANOTHER_CELL = "in place of another recurrent cell, whose orthogonal start it keeps, with its own act=tanh"
POSITION = ("pre", "pre or post of the activation.")
EVERY = (2, "hidden layers per block.")
STRENGTH = (1e-4, "factor of the sum over all weights.")
DISTRIBUTION = ("normal", "normal or uniform.")

_row("Untreated", "none", "", summary="The setting as it is", reason="")
_row(
    "UseLSTM", "lstm", "model=lstm model.forget_bias={forget_bias} act=null",
    "Hochreiter and Schmidhuber 1997", summary=f"model=lstm {ANOTHER_CELL}",
    reason="its cell hands the gradient on through the forget gate instead of the recurrent matrix",
    torch="nn.LSTM in place of nn.RNN", where="model.recurrent !model.gated",
    forget_bias=(1.0, "the forget gate's bias at the start."),
)  # fmt: skip
_row(
    "UseGRU", "gru", "model=gru act=null", "Cho et al. 2014", summary=f"model=gru {ANOTHER_CELL}",
    reason="its update gate hands the state's gradient on unchanged where it is closed",
    torch="nn.GRU in place of nn.RNN", where="model.recurrent !model.gated",
)  # fmt: skip
_row(
    "UseBatchNorm", "batchnorm", "norm=batch norm.position={position}", "Ioffe and Szegedy 2015",
    reason="it rescales every layer's signal, so that its size no longer depends on the depth",
    torch="nn.BatchNorm1d or 2d between every linear layer and its activation", where="norm=none",
    position=POSITION,
)  # fmt: skip
_row(
    "UseAdam", "adam", "optim=adam lr={lr}", "Kingma and Ba 2015",
    reason="its steps do not depend on the size of the gradient, so that the first layers move as well",
    torch="torch.optim.Adam in place of SGD", where="optim=sgd,adagrad", lr=_rate("Adam"),
)  # fmt: skip
_row(
    "UseReLU", "relu", "act=relu", "Nair and Hinton 2010",
    reason="it has no flat end for positive inputs",
    torch="nn.ReLU in place of the bounded activation", where="model.feedforward act.bounded pretrain=none",
)  # fmt: skip
_row(
    "UseResidual", "residual", "residual=identity residual.every={every}", "He et al. 2016",
    reason="the gradient reaches the first layers through the shortcuts, whatever the layers do",
    torch="shortcuts around every two layers: x + block(x)",
    where="residual=none depth>=3 depth<=50|norm!=none", every=EVERY,
)  # fmt: skip
_row(
    "UseHe", "he", "init=he init.distribution={distribution}", "He et al. 2015",
    reason="these weights make up for the half that relu cuts off, so that the signal keeps its size",
    torch="nn.init.kaiming_normal_ for the weights, zero biases",
    where="model.feedforward act.half_linear init!=he,lsuv,critical", distribution=DISTRIBUTION,
)  # fmt: skip
_row(
    "UseXavier", "xavier", "init=xavier init.distribution={distribution}", "Glorot and Bengio 2010",
    reason="weights of this size keep the activation where it is steep",
    torch="nn.init.xavier_normal_ for the weights, zero biases",
    where="model.feedforward init!=xavier,critical", distribution=DISTRIBUTION,
)  # fmt: skip
_row(
    "UseLayerNorm", "layernorm", "norm=layer norm.position={position}", "Ba et al. 2016",
    reason="it rescales every layer's signal, example by example",
    torch="nn.LayerNorm between every linear layer and its activation", where="norm=none", position=POSITION,
)  # fmt: skip
_row(
    "UseClipping", "clipping", "clip=norm clip.max_norm={max_norm}", "Pascanu et al. 2013",
    reason="no step is larger than the threshold, however large the gradient",
    torch="torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) before every step", where="clip=none",
    max_norm=(1.0, "the largest global gradient norm."),
)  # fmt: skip
_row(
    "SmallRate", "small_rate", "lr=*{factor}", summary="The learning rate times a factor below 1",
    reason="smaller steps keep the weights from growing", torch="a tenth of the learning rate",
    factor=(0.1, "what the rate is multiplied by."),
)  # fmt: skip
_row(
    "UseRezero", "rezero", "residual=rezero residual.every={every}", "Bachlechner et al. 2021",
    reason="every block starts as the identity, so that depth costs nothing at first",
    torch="shortcuts with a learned factor that starts at 0: x + alpha * block(x)",
    where="residual=none,identity depth>=3", every=EVERY,
)  # fmt: skip
_row(
    "UseTanh", "tanh", "act=tanh", "LeCun et al. 1998", summary="act=tanh: slope 1 at zero",
    reason="its slope is 1 at zero", torch="nn.Tanh as the activation",
)  # fmt: skip
_row(
    "UseCritical", "critical", "init=critical", "Schoenholz et al. 2017",
    summary="init=critical: the activation's edge of chaos",
    reason="at the edge of chaos the signal keeps its size from layer to layer",
    torch="nn.init.xavier_normal_ for the weights, zero biases",
    where="model.feedforward act.bounded act!=sigmoid init!=xavier,orthogonal",  # sigmoid: saturated there
)  # fmt: skip
_row(
    "UseELU", "elu", "act=elu act.alpha={alpha}", "Clevert et al. 2016",
    reason="it has a slope for negative inputs too, so that no unit is lost for good",
    torch="nn.ELU in place of nn.ReLU", where="!act.bounded",
    alpha=(1.0, "minus the limit at minus infinity."),
)  # fmt: skip
_row(
    "UseSELU", "selu", "act=selu", "Klambauer et al. 2017",
    summary="act=selu, whose own initialization is init=lecun",
    reason="its outputs find back to mean 0 and variance 1", torch="nn.SELU as the activation",
)  # fmt: skip
_row(
    "UseLeakyReLU", "leaky_relu", "act=leaky_relu act.slope={slope}", "Maas et al. 2013",
    reason="it has a slope for negative inputs too, so that no unit is lost for good",
    torch="nn.LeakyReLU(0.01) in place of nn.ReLU", where="!act.bounded",
    slope=(0.01, "the fixed slope for negative inputs."),
)  # fmt: skip
_row(
    "UsePReLU", "prelu", "act=prelu act.slope={slope}", "He et al. 2015",
    reason="it learns a slope for negative inputs, so that no unit is lost for good",
    torch="nn.PReLU in place of nn.ReLU", slope=(0.25, "the slope for negative inputs at the start."),
)  # fmt: skip
_row(
    "UseRMSprop", "rmsprop", "optim=rmsprop lr={lr}", "Tieleman and Hinton 2012",
    reason="its steps do not depend on the size of the gradient", torch="torch.optim.RMSprop in place of SGD",
    lr=_rate("RMSprop"),
)  # fmt: skip
_row(
    "UseAdagrad", "adagrad", "optim=adagrad lr={lr}", "Duchi et al. 2011",
    reason="each weight has a rate of its own, larger where gradients are small",
    torch="torch.optim.Adagrad in place of SGD", lr=_rate("Adagrad"),
)  # fmt: skip
_row(
    "UsePretraining", "pretraining", "pretrain=autoencoder pretrain.epochs={epochs} pretrain.lr={lr}",
    "Bengio et al. 2007", summary="pretrain=autoencoder: greedy and layer by layer, then the whole as usual",
    reason="each layer is trained on its own first, for which no gradient has to come through the others",
    where="pretrain=none", epochs=(20, "passes over the training inputs per layer."),
    lr=(0.1, "learning rate of every layer."),
)  # fmt: skip
_row(
    "UseL2", "l2", "reg=l2 reg.strength={strength}", "Hoerl and Kennard 1970",
    reason="it keeps the weights from growing", torch="weight_decay of the optimizer", strength=STRENGTH,
)  # fmt: skip
_row(
    "UseL1", "l1", "reg=l1 reg.strength={strength}", "Tibshirani 1996",
    reason="it keeps the weights from growing", torch="a penalty on the sum of all |w|", strength=STRENGTH,
)  # fmt: skip
_row(
    "", "relu_he", "act=relu init=he", "He et al. 2015",
    reason="its weights keep the signal's size from layer to layer (He et al. 2015)",
    torch="nn.ReLU in place of the bounded activation, with nn.init.kaiming_normal_",
    where="model.feedforward act.bounded|act=softplus pretrain=none", tried="model.feedforward",
)  # fmt: skip
_row(
    "", "selu_lecun", "act=selu init=lecun", "Klambauer et al. 2017",
    reason="its outputs find back to mean 0 and variance 1 (Klambauer et al. 2017)",
    torch="nn.SELU with weights of variance 1 / fan_in", tried="model.feedforward",
)  # fmt: skip
_row(
    "", "orthogonal", "model.recurrent_init=orthogonal",
    reason="an orthogonal recurrent matrix keeps the gradient's length",
    torch="nn.init.orthogonal_ for the recurrent matrix", where="model.recurrent",
    tried="model.recurrent !model.gated",
)  # fmt: skip
_row(
    "", "identity_start", "act=relu model.recurrent_init=identity", "Le et al. 2015",
    reason="the identity start remembers by itself (Le et al. 2015)",
    torch="nn.init.eye_ for the recurrent matrix, with nonlinearity='relu'",
    tried="model.recurrent !model.gated",
)  # fmt: skip
_row(
    "", "chrono", "model.chrono=@data.length", "Tallec and Ollivier 2018",
    reason="forget gates that start open for as long as the sequence let the gradient through",
    torch="a forget bias of log(T) at the start", where="model.chrono=null data.length>=3",
)  # fmt: skip
_row(
    "", "smaller_he", "remedy=he", reason="smaller weights do not enlarge the signal",
    where=f"{SIZED} act.half_linear",
)  # fmt: skip
_row(
    "", "smaller_xavier", "remedy=xavier", reason="smaller weights do not enlarge the signal",
    torch="smaller initial weights: nn.init.xavier_normal_, or kaiming_normal_ with ReLU",
    where=f"{SIZED} !act.half_linear",
)  # fmt: skip
_row(
    "", "own_start", "init=default", reason="units that start equal, or at 0, stay equal",
    torch="the layers' own reset_parameters()", where="init!=xavier,he,lecun,orthogonal,lsuv,critical",
)  # fmt: skip
_row(
    "", "no_penalty", "reg=none", reason="the penalty may outweigh the loss and pull the weights to 0",
    torch="a weaker penalty or weight decay",
)  # fmt: skip
_row("", "no_clipping", "clip=none", reason="a small threshold makes every step small")
_row(
    "", "large_rate", "lr=*10", reason="the steps are too small to get anywhere",
    torch="ten times the learning rate",
)  # fmt: skip
_row(
    "", "large_batch", "batch_size=*4", reason="the gradient of more examples points more steadily downhill",
    torch="a larger batch", where="batch_size<=63",
)  # fmt: skip
CHOICES = {name: one for name, one in TABLE.items() if isinstance(one, Remedy)}
__all__ = ["CHOICES", "TABLE", "Change", "Remedy", *(type(remedy).__name__ for remedy in CHOICES.values())]  # pyright: ignore
