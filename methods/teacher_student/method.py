"""Single-source teacher-student learning (TSL): a fresh student learns zero_shot's probabilities on target text."""

from __future__ import annotations

from dataclasses import replace

from bench.api.method import Factors, Method, MethodParams, Need, Round
from bench.api.rounds import Distil


class TeacherStudent(Method):
    """zero_shot teaches a student that starts from the pre-trained encoder and sees unlabelled target text alone."""

    name = "teacher_student"
    paper = "Wu, Lin, Karlsson, Lou, Huang 2020 (TSL), ACL 2020"
    needs = frozenset({Need.TARGET_UNLABELLED})
    declared = Factors(loss_terms="distillation (mse)", unlabelled_text="yes", teacher="zero_shot")

    def __init__(self, params: MethodParams | None = None) -> None:
        super().__init__(params)
        # as zero_shot would distil from scratch: the same training where both are in a matrix
        self.student = Distil(replace(self.params, distil=True, distil_start="fresh"), "teacher")

    def rounds(self) -> tuple[Round, ...]:
        """zero_shot's training (shared with it), then distillation as any method may add it, but from scratch."""
        student = Round("student", self.student, teachers=("teacher",), needs=Distil.needs)
        return (Round("teacher", method="zero_shot"), student)

    def own_factors(self) -> Factors:
        """Which loss the student has."""
        return replace(self.declared, loss_terms=f"distillation ({self.params.distil_loss})")
