"""MobileNet-SSD object detection for a plain CPU.

>>> from detector import Detector
>>> detections = Detector()("photo.jpg")
"""

from detector.detections import Detections
from detector.errors import DetectorError, SourceLostError
from detector.predictor import Detector

__all__ = ["Detections", "Detector", "DetectorError", "SourceLostError"]
__version__ = "0.1.0"
