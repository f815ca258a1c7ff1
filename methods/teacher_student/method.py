"""Single-source teacher-student learning (TSL): a fresh student learns zero_shot's probabilities on target text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from bench.api.distilled import Distillation, Student
from bench.api.method import Factors, Method, MethodParams, Need, Round, SearchSpace


@dataclass(frozen=True)
class TeacherStudentParams(MethodParams):
    """The student's loss: see `Distillation`."""

    loss: Literal["mse", "kl", "hard"] = "mse"
    outside: bool = True  # whether words that the teacher tags O count


class TeacherStudent(Method):
    """zero_shot teaches a student that starts from the pre-trained encoder and sees unlabelled target text alone."""

    name = "teacher_student"
    version = 1
    display = "TSL"
    cites = ("wu2020tsl",)
    paper = "Wu, Lin, Karlsson, Lou, Huang 2020 (TSL), ACL 2020"
    Params: ClassVar[type[MethodParams]] = TeacherStudentParams
    needs = frozenset({Need.TARGET_UNLABELLED})
    declared = Factors(loss_terms="distillation (mse)", unlabelled_text="yes", teacher="zero_shot")
    search_space: ClassVar[SearchSpace] = {
        "loss": ("mse", "kl", "hard"),
        "outside": (True, False),
    }
    params: TeacherStudentParams

    def __init__(self, params: MethodParams | None = None) -> None:
        super().__init__(params)
        p = self.params
        # as zero_shot would distil from scratch: the same training where both are in a matrix
        how = Distillation(distil=True, distil_start="fresh", distil_loss=p.loss, distil_outside=p.outside)
        self.student = Student(how)

    def rounds(self) -> tuple[Round, ...]:
        """zero_shot's training (shared with it), then distillation as any method may add it, but from scratch."""
        student = Round("student", self.student, teachers=("teacher",), needs=Student.needs)
        return (Round("teacher", method="zero_shot"), student)

    def factors(self) -> Factors:
        return replace(self.declared, loss_terms=f"distillation ({self.params.loss})")
