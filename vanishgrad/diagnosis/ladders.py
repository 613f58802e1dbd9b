"""Which treatments help against what, the most promising first, and why."""

from __future__ import annotations

from vanishgrad.diagnosis.advice import (
    ADAM,
    BATCHNORM,
    CHRONO,
    CLIPPING,
    CRITICAL,
    ELU,
    GRU,
    HE,
    LARGE_BATCH,
    LARGE_RATE,
    LAYERNORM,
    LEAKY,
    LSTM,
    NO_CLIPPING,
    NO_PENALTY,
    ORTHOGONAL,
    OWN_START,
    PRETRAINING,
    RELU,
    RELU_HE,
    RESIDUAL,
    REZERO,
    SMALL_RATE,
    SMALLER_START,
    XAVIER,
    Ladder,
)

VANISHING: Ladder = (
    (BATCHNORM, "it rescales every layer's signal, so that its size no longer depends on the depth"),
    (
        RELU_HE,
        "its slope is 1 where it is active, and these weights keep the signal's size from layer to layer",
    ),
    (HE, "these weights make up for the half that relu cuts off, so that the signal keeps its size"),
    (CRITICAL, "at the edge of chaos the signal keeps its size from layer to layer"),
    (RESIDUAL, "the gradient reaches the first layers through the shortcuts, whatever the layers do"),
    (REZERO, "every block starts as the identity, so that depth costs nothing at first"),
    (LAYERNORM, "it rescales every layer's signal, example by example"),
    (
        PRETRAINING,
        "each layer is trained on its own first, for which no gradient has to come through the others",
    ),
    (ADAM, "its steps do not depend on the size of the gradient, so that the first layers move as well"),
)
VANISHING_IN_TIME: Ladder = (
    (LSTM, "its cell hands the gradient on through the forget gate instead of the recurrent matrix"),
    (GRU, "its update gate hands the state's gradient on unchanged where it is closed"),
    (ORTHOGONAL, "an orthogonal matrix keeps the gradient's length from time step to time step"),
    (CHRONO, "forget gates that start open for as long as the sequence let the gradient through"),
    (LAYERNORM, "it keeps the activations inside the cell where they have a slope"),
)
EXPLODING: Ladder = (
    (SMALLER_START, "the initial weights enlarge the signal in every layer"),
    (BATCHNORM, "the weights' size no longer matters to the signal's"),
    (CLIPPING, "no step is larger than the threshold, however large the gradient"),
    (REZERO, "every block starts as the identity, so that nothing is enlarged at first"),
    (SMALL_RATE, "smaller steps keep the weights from growing"),
    (LAYERNORM, "the weights' size no longer matters to the signal's"),
)
EXPLODING_IN_TIME: Ladder = (
    (CLIPPING, "no step is larger than the threshold, however large the gradient (Pascanu et al. 2013)"),
    (ORTHOGONAL, "an orthogonal matrix keeps the gradient's length from time step to time step"),
    (LSTM, "its gates bound what is handed on from step to step"),
    (SMALL_RATE, "smaller steps keep the recurrent matrix from growing"),
)
DIVERGED: Ladder = (
    (SMALLER_START, "the initial weights enlarge the signal in every layer, until it overflows"),
    (SMALL_RATE, "the steps overshoot, each further than the one before"),
    (CLIPPING, "no step is larger than the threshold, however large the gradient"),
    (BATCHNORM, "the weights' size no longer matters to the signal's"),
    (LAYERNORM, "the weights' size no longer matters to the signal's"),
)
DEAD_UNITS: Ladder = (
    (LEAKY, "it has a slope for negative inputs too, so that no unit is lost for good"),
    (SMALLER_START, "the initial biases or weights push units to where they are never active"),
    (SMALL_RATE, "a large step can push a unit to where no example reaches it"),
    (BATCHNORM, "it centres every unit's input, so that about half of the examples reach it"),
    (ELU, "it has a slope for negative inputs too, so that no unit is lost for good"),
)
SATURATED: Ladder = (
    (SMALLER_START, "smaller weights keep the activation where it is steep"),
    (BATCHNORM, "it rescales every unit's input to where the activation is steep"),
    (XAVIER, "weights of this size keep the activation where it is steep"),
    (RELU, "it has no flat end for positive inputs"),
    (SMALL_RATE, "large steps push units into the flat ends"),
    (LAYERNORM, "it rescales the inputs to where the activation is steep"),
)
STALLED: Ladder = (
    (BATCHNORM, "it rescales every layer's signal, so that the first layers get their share"),
    (ADAM, "its steps do not depend on the size of the gradient, so that the first layers move as well"),
    (RELU_HE, "its slope is 1 where it is active, and these weights keep the signal's size"),
    (HE, "these weights keep the signal's size from layer to layer"),
    (RESIDUAL, "the gradient reaches the first layers through the shortcuts"),
    (PRETRAINING, "each layer is trained on its own first"),
)
OSCILLATING: Ladder = (
    (SMALL_RATE, "the steps are longer than the valley is wide"),
    (CLIPPING, "no step is larger than the threshold"),
    (LARGE_BATCH, "the gradient of more examples points more steadily downhill"),
    (BATCHNORM, "it makes the loss smoother, which allows a larger rate"),
)
NOT_LEARNING: Ladder = (
    (OWN_START, "units that start equal, or at 0, stay equal"),
    (NO_PENALTY, "the penalty may outweigh the loss and pull the weights to 0"),
    (NO_CLIPPING, "a small threshold makes every step small"),
    (LARGE_RATE, "the steps are too small to get anywhere"),
    (ADAM, "its steps do not depend on the size of the gradient"),
    (SMALL_RATE, "the steps may be too large to settle"),
)
