"""How a key of the configuration is described, and the kinds of values that keys take."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

#: Where a value comes from: published, the study's public code, assumed, ours. What has a D is reported as an
#: assumption.
Mark = Literal["P", "C", "D", "C/D", "P/C", "ours"]


def key(
    default: Any,
    mark: Mark | None = None,
    *,
    study: Any = None,
    known: str | None = None,
    unit: str | None = None,
    decides: bool = False,
    alters_results: bool = True,
    **bounds: Any,
) -> Any:
    """Describe a key: ``study`` is the published study's value, ``known`` what is known of an assumed one.

    With ``decides``, results are comparable with the published ones at the study's value only. What alters no
    result, such as places and threads, is not among the parameters of a job (`settings` in the rules).
    """
    marks = {"mark": mark, "study": study, "assumption": known, "unit": unit}
    marks |= {"published": study if decides else None}
    extra: dict[str, Any] = {name: value for name, value in marks.items() if value is not None}
    extra |= {} if alters_results else {"alters_results": False}
    return Field(default=default, json_schema_extra=extra, **bounds)


def _differ(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise PydanticCustomError("twice", "it has a value twice")
    return values


def _ascend(ends: list[Any]) -> list[Any]:
    if ends[0] > ends[1]:
        raise PydanticCustomError("upside_down", "give the lower end of the range first")
    return ends


T = TypeVar("T", bound=Hashable)
Count = Annotated[int, Field(ge=1)]
Threads = Annotated[int, Field(ge=1, le=64)]
Participants = Annotated[int, Field(ge=0, le=100_000)]
Positive = Annotated[float, Field(gt=0)]
Some = Annotated[list[T], Field(min_length=1)]
Distinct = Annotated[list[T], AfterValidator(_differ), Field(json_schema_extra={"uniqueItems": True})]
SomeDistinct = Annotated[Distinct[T], Field(min_length=1)]
Pair = Annotated[list[T], Field(min_length=2, max_length=2), AfterValidator(_ascend)]
TrainingSet = Annotated[str, Field(pattern=r"^train-(full|[0-9]+)$")]
Architecture = Literal["baseline", "optimized"]
TrainingData = Literal["real", "classic", "synthetic", "augmented"]
ElementType = Literal["float32", "float16"]
Variable = Literal["age", "sex", "site", "diagnosis", "mmse", "cdr"]
Meaning = Literal["AD", "CN", "MCI", "M", "F", "n/a"]
GeneratorName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
CohortName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
Entity = Annotated[str, Field(pattern=r"^[a-z]+-[A-Za-z0-9+]+$")]


class Section(BaseModel):
    """A part of the configuration: no other keys, no text for a number, no infinite number."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
