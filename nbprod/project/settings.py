"""`[tool.nbprod]` in pyproject.toml: where things are kept, and the steps."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbprod.errors import SettingsError
from nbprod.execution.fork_servers import Warmth
from nbprod.record.launch import LEAN, NBCLIENT
from nbprod.record.review import Wanted
from nbprod.step.keep import Keep
from nbprod.step.secret import FILE
from nbprod.step.step import KEEP_INPUTS, StepSettings

__all__ = ["Settings", "find_root", "read_settings"]

HOME = ".nbprod"
_SWITCH: Mapping[Any, bool] = {True: True, False: False, "true": True, "false": False}
_KERNELS = ("warm", "preload", "idle", "driver")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")
_KEYS = ("home", "store", "ledger", "keys", "trace", "roots", "keep", "keep_inputs", "kernels", "aliases", "steps")
_ALIAS = ("approvals", "sign_offs", "by_others")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A project's settings.

    Args:
        home: folder for all that nbprod keeps locally, relative to the root.
        store: the store's address: a folder, or `file://`; None for `HOME/store`.
        ledger: the ledger's address: a file, or `sqlite:///`; None for `HOME/ledger.db`.
        keys: the folder of the keys that sign records, relative to the root, or `off`; None for the user's own.
        trace: whether it is observed what runs touch, unless a step says otherwise.
        roots: folders that every run has as inputs, relative to the root; a step may add more.
        keep: for how long the bytes of runs are kept, unless a step says otherwise; None for ever.
        keep_inputs: bytes up to which a file that a run read is kept with it, unless a step says otherwise; 0: none is.
        kernels: when kernels are forked.
        driver: who executes the cells, `lean` or `nbclient`; it stands in `[tool.nbprod.kernels]`, too.
        aliases: what people must have said of a version before such an alias of a step may point at it.
        steps: by name.
    """

    home: str = HOME
    store: str | None = None
    ledger: str | None = None
    keys: str | None = None
    trace: bool = True
    roots: tuple[str, ...] = ()
    keep: Keep | None = None
    keep_inputs: int = KEEP_INPUTS
    kernels: Warmth = field(default_factory=Warmth)
    driver: str = LEAN
    aliases: Mapping[str, Wanted] = field(default_factory=dict)
    steps: Mapping[str, StepSettings] = field(default_factory=dict)

    def secret_files(self, root: Path) -> tuple[Path, ...]:
        """Return the files that hold secrets of any step.

        Args:
            root: the project's, which they may be relative to.
        """
        references = [each for settings in self.steps.values() for each in settings.secrets if each.source == FILE]
        return tuple(root / Path(each.place).expanduser() for each in references)


def find_root(start: Path) -> Path:
    """Return the project's root: the nearest folder, from `start` upwards, that says so.

    That is one whose pyproject.toml has a `[tool.nbprod]` table or that holds a `.nbprod` folder; else the nearest
    with a `.git`; else `start` itself.
    """
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / HOME).is_dir() or _table(folder / "pyproject.toml") is not None:
            return folder
    return next((folder for folder in (start, *start.parents) if (folder / ".git").exists()), start)


def read_settings(root: Path, environ: Mapping[str, str]) -> Settings:
    """Read the project's settings; NBPROD_HOME, _STORE, _LEDGER and _KEYS go before what the file says.

    Raises:
        SettingsError: the file or a value in it is wrong.
    """
    table = dict(_table(root / "pyproject.toml") or {})
    for key in table:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(_KEYS)}"
            raise SettingsError(f"[tool.nbprod] has an unknown key {key!r}", hint=hint)
    for key in ("home", "store", "ledger", "keys"):
        if f"NBPROD_{key.upper()}" in environ:
            table[key] = environ[f"NBPROD_{key.upper()}"]
        if key in table and not (isinstance(table[key], str) and table[key]):
            raise SettingsError(f"[tool.nbprod] {key} is wrong", expected="a path or URL", found=repr(table[key]))
    shared: dict[str, Any] = {key: table[key] for key in ("trace", "roots", "keep", "keep_inputs") if key in table}
    common = StepSettings.parse(shared, "[tool.nbprod]")
    steps = table.get("steps", {})
    if not isinstance(steps, Mapping):
        raise SettingsError("[tool.nbprod.steps] is wrong", expected="a table per step", found=repr(steps))
    parsed = {name: _step(name, step) for name, step in steps.items()}
    return Settings(
        home=table.get("home", HOME),
        store=table.get("store"),
        ledger=table.get("ledger"),
        keys=table.get("keys"),
        trace=common.trace is not False,
        roots=common.roots,
        keep=common.keep,
        keep_inputs=KEEP_INPUTS if common.keep_inputs is None else common.keep_inputs,
        kernels=_warmth(table.get("kernels", {}), environ),
        driver=_driver(table.get("kernels", {}), environ),
        aliases=_aliases(table.get("aliases", {})),
        steps=parsed,
    )


def _warmth(table: Any, environ: Mapping[str, str]) -> Warmth:
    where = "[tool.nbprod.kernels]"
    if not isinstance(table, Mapping) or (unknown := sorted(set(table) - {*_KERNELS})):
        found = repr(table) if not isinstance(table, Mapping) else ", ".join(unknown)
        raise SettingsError(f"{where} is wrong", expected=f"a table with {', '.join(_KERNELS)}", found=found)
    switch: Any = environ.get("NBPROD_WARM", table.get("warm", True))
    if switch not in _SWITCH:
        raise SettingsError(f"{where} warm is wrong", expected="true or false", found=repr(switch))
    preload = table.get("preload", [])
    if not isinstance(preload, list) or not all(isinstance(name, str) and _MODULE.match(name) for name in preload):
        raise SettingsError(f"{where} preload is wrong", expected="a list of packages' names", found=repr(preload))
    idle = table.get("idle", Warmth().idle)
    if isinstance(idle, bool) or not isinstance(idle, int | float) or not 0 < idle < math.inf:
        raise SettingsError(f"{where} idle is wrong", expected="seconds, above 0", found=repr(idle))
    return Warmth(on=_SWITCH[switch], preload=tuple(preload), idle=float(idle))


def _driver(table: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    named: Any = environ.get("NBPROD_DRIVER", table.get("driver", LEAN))
    if named not in (LEAN, NBCLIENT):
        where = "[tool.nbprod.kernels] driver is wrong"
        raise SettingsError(where, expected=f'"{LEAN}" or "{NBCLIENT}"', found=repr(named))
    return str(named)


def _aliases(tables: Any) -> dict[str, Wanted]:
    where = "[tool.nbprod.aliases]"
    if not isinstance(tables, Mapping):
        raise SettingsError(f"{where} is wrong", expected="a table per alias", found=repr(tables))
    return {name: _wanted(f"[tool.nbprod.aliases.{name}]", table) for name, table in tables.items()}


def _wanted(where: str, table: Any) -> Wanted:
    if not isinstance(table, Mapping) or (unknown := sorted(set(table) - {*_ALIAS})):
        found = repr(table) if not isinstance(table, Mapping) else ", ".join(unknown)
        raise SettingsError(f"{where} is wrong", expected=f"a table with {', '.join(_ALIAS)}", found=found)
    approvals, names = table.get("approvals", 1), table.get("sign_offs", [])
    others = table.get("by_others", True)
    if isinstance(approvals, bool) or not isinstance(approvals, int) or approvals < 0:
        raise SettingsError(
            f"{where} approvals is wrong", expected="a number of keys, 0 or more", found=repr(approvals)
        )
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise SettingsError(f"{where} sign_offs is wrong", expected="a list of names", found=repr(names))
    if not isinstance(others, bool):
        raise SettingsError(f"{where} by_others is wrong", expected="true or false", found=repr(others))
    return Wanted(approvals=approvals, sign_offs=tuple(dict.fromkeys(names)), by_others=others)


def _step(name: str, table: Any) -> StepSettings:
    where = f"[tool.nbprod.steps.{name}]"
    if not isinstance(table, Mapping):
        raise SettingsError(f"{where} is wrong", expected="a table", found=repr(table))
    return StepSettings.parse(table, where)


def _table(path: Path) -> Mapping[str, Any] | None:
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read", found=str(error), hint="Mend the file's syntax.") from error
    table = data.get("tool", {}).get("nbprod")
    if table is not None and not isinstance(table, Mapping):
        raise SettingsError("[tool.nbprod] is wrong", expected="a table", found=repr(table))
    return table
