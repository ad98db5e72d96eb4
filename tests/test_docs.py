"""Runs the Python blocks of the documentation and holds its commands against the program."""

import re
import shlex
from pathlib import Path

import click
import pytest

import graphrec
from graphrec.cli import main

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').glob('*.md')])
RUN = ['README.md', 'docs/questions.md']


def blocks(page):
    """Python blocks with blank lines before them, so that an error names the line."""
    text = (ROOT / page).read_text('utf-8')
    for match in re.finditer(r'^```python\n(.*?)^```', text, re.MULTILINE | re.DOTALL):
        yield '\n' * (text[: match.start(1)].count('\n')) + match.group(1)


@pytest.mark.parametrize('page', RUN)
def test_examples_run_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {'__name__': 'example'}
    found = list(blocks(page))
    assert found
    for code in found:
        exec(compile(code, page, 'exec'), names)


@pytest.mark.parametrize('page', PAGES, ids=lambda path: path.name)
def test_links_lead_to_files(page):
    text = page.read_text('utf-8')
    for target in re.findall(r'\]\(([^)#]+)(?:#[^)]*)?\)', text):
        if '://' not in target:
            assert (page.parent / target).exists(), f'{page.name} links to {target}'


def commands(page):
    for line in page.read_text('utf-8').splitlines():
        line = line.strip().strip('`')
        if line.startswith('graphrec ') and '|' not in line:
            yield shlex.split(line, comments=True)[1:]


def test_commands_in_the_readme_are_commands_of_the_program():
    found = list(commands(ROOT / 'README.md'))
    assert {words[0] for words in found} == set(main.commands)
    for words in found:
        command = main.commands[words[0]]
        options = {name for p in command.params for name in p.opts if isinstance(p, click.Option)}
        assert {word for word in words if word.startswith('--')} <= options, words


def test_every_public_name_in_the_docs_exists():
    text = '\n'.join((ROOT / page).read_text('utf-8') for page in RUN)
    for name in set(re.findall(r'\bgraphrec((?:\.[A-Za-z_]\w*)+)', text)):
        value = graphrec
        for part in name.strip('.').split('.'):
            value = getattr(value, part)
