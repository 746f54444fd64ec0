"""Every code block of README and documentation is executed: Python as one namespace per page, shell lines by what they call."""

from __future__ import annotations

import contextlib
import doctest
import io
import linecache
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")))
#: Languages of blocks that show something and are not run.
SHOWN = {"text", "json", "sql", "html", "toml", "yaml", "diff"}


class Block(NamedTuple):
    """A fenced block: its language, its text, and the line of the page on which the text begins (1-based)."""

    language: str
    text: str
    line: int


def blocks(markdown: str) -> list[Block]:
    """All fenced blocks of a page, in order."""
    found, language, lines, start = [], None, [], 0
    for number, line in enumerate(markdown.splitlines(), 1):
        fence = re.fullmatch(r"```(\w*)\s*", line)
        if fence is None:
            lines.append(line)
        elif language is None:
            language, lines, start = fence[1], [], number + 1
        else:
            found.append(Block(language, "\n".join(lines) + "\n", start))
            language = None
    if language is not None:
        raise ValueError(f"the block that begins on line {start} is not closed")
    return found


def execute(page: str, block: Block, namespace: dict[str, Any]) -> None:
    """Run a Python block so that a traceback shows the page and its lines."""
    if block.text.startswith(">>>"):
        examples = doctest.DocTestParser().get_doctest(block.text, namespace, page, page, block.line - 1)
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        report = io.StringIO()
        if doctest.DocTestRunner(optionflags=flags).run(examples, out=report.write, clear_globs=False).failed:
            raise AssertionError(report.getvalue())
        namespace.update(examples.globs)
        return
    name = f"<{page}:{block.line}>"
    source = "\n" * (block.line - 1) + block.text
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), namespace)


@pytest.mark.parametrize("page", PAGES)
def test_python_of_the_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "page"}
    with contextlib.redirect_stdout(io.StringIO()):
        for block in blocks((ROOT / page).read_text()):
            if block.language == "python":
                execute(page, block, namespace)


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md"])
def test_shell_lines_call_what_exists(page: str) -> None:
    for block in blocks((ROOT / page).read_text()):
        assert block.language in {"python", "shell", *SHOWN}, f"{page}:{block.line}: language {block.language!r}"
        if block.language == "shell":
            for line in block.text.replace("\\\n", " ").splitlines():
                check_command(line, f"{page}:{block.line}")


def check_command(line: str, where: str) -> None:
    words = shlex.split(line, comments=True)
    if not words:
        return
    if words[0] == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert {w for w in words[1:] if "=" not in w} <= targets, f"{where}: {line}: the Makefile has {sorted(targets)}"
    elif words[0] == "netloom":
        check_netloom(words[1:], f"{where}: {line}")
    elif words[0] in ("python", "pytest"):
        paths = [word for word in words[1:] if "/" in word]
        assert all((ROOT / path).exists() for path in paths), f"{where}: {line}: no such file"
    else:
        assert words[:2] == ["pip", "install"], f"{where}: {line}: nothing here knows this command"


def check_netloom(words: list[str], where: str) -> None:
    """The help of the subcommand, or of its action, must mention every flag."""
    main = pytest.importorskip("netloom.cli.main", reason="the command line does not exist yet").main
    command = [word for word in words[:2] if not word.startswith("-")]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        for shown in (command[:1], command):
            try:
                status = main([*shown, "--help"])
            except SystemExit as stop:
                status = stop.code
            assert not status, f"{where}: netloom {' '.join(shown)} --help ends with {status}: {output.getvalue()}"
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in output.getvalue(), f"{where}: no flag {word}"


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*PAGES, "CONTRIBUTING.md", "CHANGELOG.md"]:
        text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            if not target.startswith(("http://", "https://")):
                assert (ROOT / page).parent.joinpath(target).exists(), f"{page} links to {target}, which does not exist"


def test_readme_opens_with_a_block_of_about_twenty_lines() -> None:
    first = next(block for block in blocks((ROOT / "README.md").read_text()) if block.language == "python")
    assert len(first.text.strip().splitlines()) <= 22


def test_blocks_are_found_and_a_failing_one_fails() -> None:
    page = "# Title\n```python\nx = 1\n```\ntext\n```shell\nmake test\n```\n```python\nassert x == 2\n```\n"
    assert [(b.language, b.line) for b in blocks(page)] == [("python", 3), ("shell", 7), ("python", 10)]
    namespace: dict[str, Any] = {}
    execute("page", blocks(page)[0], namespace)
    with pytest.raises(AssertionError):
        execute("page", blocks(page)[2], namespace)
    with pytest.raises(AssertionError, match="nothing here knows"):
        check_command("rm -rf build", "page")
    with pytest.raises(AssertionError, match="the Makefile has"):
        check_command("make coffee", "page")
