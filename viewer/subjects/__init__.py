"""What can be viewed: runs of every kind, and functions that draw."""

from fields_viewer.subjects.function import FunctionSubject
from fields_viewer.subjects.opening import subject_of
from fields_viewer.subjects.subject import Flat, Setting, Solid, Subject

__all__ = ["Flat", "FunctionSubject", "Setting", "Solid", "Subject", "subject_of"]
