"""What the chapter on batch normalization measures."""

from __future__ import annotations

from vanishgrad.lab.chapter import Probe, Training
from vanishgrad.lab.probes.batch_norm import company, modes, scales, shifts

SPEED = Training(
    "speed",
    ("depth=10", "act=sigmoid,tanh,relu", "init=default,he", "norm=none,batch", "lr=0.1", "max_steps=400",
     "eval_every=10", "log_every=100"),
    quick=("max_steps=100", "depth=5", "act=sigmoid,relu"),
)  # fmt: skip
FLOW = Training(
    "flow",
    ("depth=10,50", "width=128", "batch_size=128", "act=sigmoid,tanh,relu", "init=xavier", "norm=none,batch",
     "max_steps=0"),
    quick=("act=sigmoid,relu",),
)  # fmt: skip
NORMS = Training(
    "norms",
    ("depth=30", "width=512", "batch_size=256", "act=relu", "init=he", "norm=none,batch,layer,group,rms",
     "max_steps=0"),
    quick=("width=256", "batch_size=128", "norm=batch,layer"),
)  # fmt: skip
PLACES = Training(
    "places",
    ("depth=30", "width=512", "batch_size=256", "act=relu", "init=he", "norm=batch", "norm.position=pre,post",
     "max_steps=0"),
    quick=("width=256", "batch_size=128"),
)  # fmt: skip
SHORTCUTS = Training(
    "shortcuts",
    ("depth=60", "act=relu", "init=he", "norm=batch", "residual=none,identity", "max_steps=300",
     "eval_every=50", "log_every=100"),
    quick=("max_steps=20",),
)  # fmt: skip
RATES = Training(
    "rates",
    ("depth=5", "act=tanh,relu", "init=he", "norm=none,batch", "lr=0.01,0.03,0.1,0.3,1,3,10", "max_steps=300",
     "log_every=50", "eval_every=50"),
    quick=("max_steps=40", "lr=0.1,1"),
)  # fmt: skip
WEIGHTS = Training(
    "weights",
    ("depth=5", "act=sigmoid,tanh", "norm=none,batch", "init=normal", "init.std=0.01,0.1,1,10",
     "max_steps=300", "log_every=50", "eval_every=50"),
    quick=("max_steps=40", "init.std=0.01,1"),
)  # fmt: skip
SMALL, MIDDLE, LARGE = (
    Training(
        f"batches_of_{size}",
        ("depth=3", "act=relu", "init=he", "norm=batch,layer,group", f"batch_size={size}", f"lr={lr}",
         "epochs=4", "log_every=1000", "measure=gradients"),
        quick=("epochs=1", "norm=batch,layer"),
    )
    for size, lr in ((2, 0.005), (8, 0.02), (32, 0.08))
)  # fmt: skip
SCALES, COMPANY = Probe("scales", scales), Probe("company", company)
MODES, SHIFTS = Probe("modes", modes), Probe("shifts", shifts)

EXPERIMENTS = (
    SPEED,
    FLOW,
    NORMS,
    PLACES,
    SHORTCUTS,
    RATES,
    WEIGHTS,
    SMALL,
    MIDDLE,
    LARGE,
    SCALES,
    COMPANY,
    MODES,
    SHIFTS,
)
