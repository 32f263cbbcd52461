"""`nbprod describe`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nbprod.step.step import Step

__all__ = ["describe", "show_step"]


@click.command()
@click.argument("notebook", metavar="NOTEBOOK|STEP")
@click.option("--json", "as_json", is_flag=True, help="Write the parameters' JSON Schema (2020-12).")
def describe(notebook: str, *, as_json: bool) -> int:
    """Show a notebook's parameters.

    Their types, defaults and help texts, and what a run of the step must leave.
    """
    from nbprod.cli.session import open_project  # noqa: PLC0415 - `--help` must stay fast

    return show_step(open_project(recover=False).step(notebook), as_json=as_json)


def show_step(step: Step, *, as_json: bool) -> int:
    """Show a step's schema and contract, or its JSON Schema."""
    from nbprod.cli.screen import output, print_json, table  # noqa: PLC0415
    from nbprod.cli.screen import text as escaped  # noqa: PLC0415
    from nbprod.cli.values import brief, plain_text  # noqa: PLC0415
    from nbprod.parameters import Unevaluated, json_schema, tag  # noqa: PLC0415

    title = step.notebook.title or ""
    if as_json:
        print_json(json_schema(step.schema, title=step.name, description=title))
        return 0
    console = output()
    console.print(f"[bold]{escaped(plain_text(step.name))}[/]{f'  {escaped(plain_text(title))}' if title else ''}")
    where = step.origin or "standard input" if step.path is None else str(step.path)
    console.print(f"[dim]{escaped(where)}, kernel {escaped(step.kernel_name)}, source {step.source.short}[/]\n")
    if step.schema.open:
        console.print(f"Parameters of a {escaped(step.notebook.language)} notebook are not checked.")
    elif not step.schema.declared:
        console.print("It takes no parameters: no cell is tagged `parameters`.")
    elif not len(step.schema):
        console.print("It takes no parameters: the cell tagged `parameters` declares none.")
    else:
        shown = table("parameter", "type", "default", "")
        for each in step.schema:
            if each.required:
                default = "[yellow]required[/]"
            elif isinstance(each.default, Unevaluated):
                default = f"[dim]{escaped(brief(each.default.source, 40))}[/]"
            else:
                default = escaped(repr(each.default) if isinstance(each.default, str) else brief(tag(each.default), 40))
            row = (each.name, each.describe_type(), None, each.help)
            shown.add_row(*(default if cell is None else escaped(plain_text(cell)) for cell in row))
        console.print(shown)
    _show_remarks_and_duties(step)
    return 0


def _show_remarks_and_duties(step: Step) -> None:
    from nbprod.cli.screen import output  # noqa: PLC0415
    from nbprod.cli.screen import text as escaped  # noqa: PLC0415

    console = output()
    for remark in step.notebook.remarks:
        console.print(f"[yellow]Note:[/] {escaped(remark)}.")
    expect = step.settings.expect
    lines = [rule.text for rule in expect.scraps] + [f"artifact {name}" for name in expect.artifacts]
    if lines:
        console.print("\n[bold]A run must leave[/]")
        for line in lines:
            console.print(f"  {escaped(line)}")
