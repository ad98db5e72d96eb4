import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from graphrec.console import Output, plain, show


def test_plain_is_json_whatever_comes():
    frame = pd.DataFrame({'a': [1, 2], 'b': [0.5, np.nan]})
    value = {
        'f': frame,
        'n': np.int64(3),
        'i': float('inf'),
        't': (np.float32(0.5), None),
        5: {2, 1},
    }
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {
        'f': [{'a': 1, 'b': 0.5}, {'a': 2, 'b': None}],
        'n': 3,
        'i': None,
        't': [0.5, None],
        '5': [1, 2],
    }


def test_show():
    assert [show(v) for v in (0.123456, np.float32(2), 7, None, float('nan'), (1, 0.5), 'x')] == [
        '0.1235',
        '2.0000',
        '7',
        '-',
        '-',
        '1, 0.5000',
        'x',
    ]


def test_json_is_alone_on_standard_output(capsys):
    output = Output(as_json=True)
    output.note('a note')
    output.line('a line')
    output.table(pd.DataFrame({'a': [1]}), 'title')
    output.finish({'x': 1})
    assert json.loads(capsys.readouterr().out) == {'x': 1, 'notes': ['a note']}


def test_quiet_leaves_out_notes_and_keeps_results(capsys):
    output = Output(quiet=True)
    output.note('a note')
    output.table(pd.DataFrame({'name': ['LightGCN'], 'recall@20': [0.25]}), 'title')
    output.finish({'x': 1})
    text = capsys.readouterr().out
    assert 'a note' not in text
    assert all(part in text for part in ('title', 'LightGCN', '0.2500'))
    assert not output.progress


@pytest.mark.parametrize(
    'what', ["output.line('a' * 9999)", 'output.table(frame)', "Output(True).finish({'a': 1})"]
)
def test_a_reader_that_went_away_stops_nothing(what):
    script = f"""
import sys
import pandas as pd
from graphrec.console import Output

output, frame = Output(), pd.DataFrame({{'a': range(999)}})
{what}
{what}
print('and this')
sys.exit(3)
"""
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, '-c', script]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.returncode == 3, done.stderr
    assert done.stderr == ''


def test_a_table_shows_text_as_it_is(capsys):
    titles = ['[red]Hat[/red]', 'Film [rec]', 'a [/b] c', ':cat: food']
    Output().table(pd.DataFrame({'title': titles}))
    printed = capsys.readouterr().out
    assert all(title in printed for title in titles)
