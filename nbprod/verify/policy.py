"""What a verifier asks for beyond soundness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nbprod.record.review import Wanted
from nbprod.verify.outcome import Check
from nbprod.verify.standing import Author, Standing

__all__ = ["STEP", "Known", "Policy"]

STEP = 6
_NAME = "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a run when the policy is asked.

    Args:
        covered: whether a checkpoint covers all of its events.
        label: what the key that signed it is called; None: it is unsigned, or the key is not known.
        listed: whether the key stands in the log's list of keys.
        pinned: whether the list's root key is one that the verifier knew before.
        standing: what people have said of it.
        author: who ran it.
        git: what git said of the notebook's folder; None: nothing, or there is no record.
    """

    covered: bool
    label: str | None
    listed: bool
    pinned: bool
    standing: Standing = field(default_factory=Standing)
    author: Author = field(default_factory=Author)
    git: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is asked for.

    Args:
        covered: a checkpoint has to cover the run.
        own_keys: a development key is not enough, nor one that no list of keys names.
        pinned: the root key of the list must have been known before.
        people: what people must have said of it.
        clean_git: the notebook must have come from a git tree without changes that were not committed.
    """

    covered: bool = False
    own_keys: bool = False
    pinned: bool = False
    people: Wanted = field(default_factory=Wanted)
    clean_git: bool = False

    @classmethod
    def strict(cls, people: Wanted | None = None, *, clean_git: bool = False) -> Policy:
        """Return the policy that asks for a checkpoint, and for keys of people that were known before.

        Args:
            people: what people must have said, too.
            clean_git: whether a git tree without changes is asked for, too.
        """
        people = replace(people or Wanted(), own_keys=True)
        return cls(covered=True, own_keys=True, pinned=True, people=people, clean_git=clean_git)

    def checks(self, known: Known, *, development: str) -> Iterator[Check]:
        """Yield what the policy says.

        Args:
            known: of the run.
            development: what development keys are called.
        """
        if known.label == development:
            told = "a development key signed it, which vouches for nobody"
            yield Check.open(STEP, _NAME, told) if self.own_keys else Check.passed(STEP, _NAME, told)
        elif known.label is not None and not known.listed and self.own_keys:
            yield Check.open(STEP, _NAME, "the key that signed it stands in no list of keys")
        if self.covered and not known.covered:
            yield Check.open(STEP, _NAME, "a checkpoint must cover it, and none does")
        if self.pinned and not known.pinned:
            yield Check.open(STEP, _NAME, "the root key must have been known before: give --root or --keys")
        yield from self._of_people(known)
        if self.clean_git:
            yield _clean(known.git)
        if known.label not in (None, development) and (known.listed or not self.own_keys):
            yield Check.passed(STEP, _NAME, f"the key {known.label} signed it")

    def _of_people(self, known: Known) -> Iterator[Check]:
        yield from (Check.rejected(STEP, "rejection", told) for told in known.standing.against)
        if not self.people:
            return
        missing = tuple(known.standing.missing(self.people, known.author))
        yield from (Check.open(STEP, "approval", told) for told in missing)
        if not missing:
            yield Check.passed(STEP, "approval", f"it has {self.people}")


def _clean(git: Mapping[str, Any] | None) -> Check:
    name = "git"
    if git is None or not git.get("commit"):
        return Check.open(STEP, name, "a git commit is asked for, and the record names none")
    commit = str(git["commit"])[:12]
    if git.get("dirty"):
        return Check.open(STEP, name, f"there were changes that are not in commit {commit}")
    return Check.passed(STEP, name, f"all of it was in commit {commit}")
