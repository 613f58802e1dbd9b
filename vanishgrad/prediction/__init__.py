"""What mean-field theory says of a run before it is trained, from the length of its real inputs."""

from vanishgrad.prediction.predict import predict
from vanishgrad.prediction.prediction import Prediction

__all__ = ["Prediction", "predict"]
