"""The page stands alone, says what the report says, and holds what a reader needs."""

import dataclasses
import json
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import torch

from graphrec import models, unlearn
from graphrec.datasets import planted
from graphrec.errors import GraphError
from graphrec.graphs.schema import train_edges
from graphrec.unlearn import audit_plots
from graphrec.unlearn.audit_page import page
from graphrec.unlearn.audit_report import EXCLUSIONS
from graphrec.unlearn.audit_rows import number
from graphrec.unlearn.bands import Measure
from graphrec.unlearn.canaries import CanaryTest
from graphrec.unlearn.equivalence import equivalence
from graphrec.unlearn.verdict import STATUSES, Verdict

VOID = {'meta', 'br', 'link', 'img', 'hr', 'input'}


class Checker(HTMLParser):
    """Notes tags that do not close, and everything that would be fetched."""

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.fetched += [v for k, v in attrs if k in ('src', 'href', 'data', 'action', 'srcset')]
        assert tag not in ('script', 'iframe', 'link', 'object')

    def handle_startendtag(self, tag, attrs):
        self.fetched += [v for k, v in attrs if k in ('src', 'href')]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(text):
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert checker.fetched == []
    assert '@import' not in text
    assert 'url(' not in text
    return ' '.join(' '.join(checker.text).split())


@pytest.fixture(scope='module')
def data():
    return planted(40, 30, num_interactions=500, num_communities=3, modalities={}, seed=1)


@pytest.fixture(scope='module')
def run(data):
    edit = unlearn.RemoveInteractions(tuple(map(tuple, train_edges(data)[:, ::12].t().tolist())))
    original = models.LightGCN.from_graph(data, dim=8)
    result = unlearn.forget(original, data, edit, method='edit_only')
    golds = [models.LightGCN.from_graph(result.data, dim=8, seed=n) for n in range(1, 5)]
    return original, result, edit, golds


@pytest.fixture(scope='module')
def report(data, run):
    original, result, edit, golds = run
    return unlearn.audit(
        original,
        result.model,
        data=data,
        edit=edit,
        golds=golds,
        forget_report=result.report,
        gold_reports=[result.report],
    )


def test_the_page_stands_alone_and_answers_the_questions(report):
    text = parsed(report.to_html())
    for expected in (
        'What was asked, and what was done',
        '34 interactions',
        'edit_only',
        'class A',
        'Is anything left?',
        'Could an attacker tell',
        'What did it cost those who stayed?',
        'Not measured',
        'canaries: none was planted',
        *EXCLUSIONS,
        report.run['audited_at'][:10],
    ):
        assert expected in text, expected


def test_every_status_has_a_heading_and_a_meaning(report):
    seen = set()
    for status in STATUSES:
        found = dataclasses.replace(report, verdict=Verdict(status, ('because <b>so</b>',)))
        text = page(found)
        parsed(text)
        assert '<b>so</b>' not in text  # Escaped.
        seen.add(text.split('<strong>')[1].split('</strong>')[0])
    assert len(seen) == len(STATUSES)
    passed = dataclasses.replace(report, verdict=Verdict('passed'))
    assert 'Passed' in parsed(page(passed))
    assert 'Not passed' not in parsed(page(passed))


def head(report):
    return parsed(page(report)).split('What was asked')[0]


def test_the_head_says_no_more_than_was_found(report):
    plain = 'Nothing was found against the model'
    fine = Measure('x', 0.9, 0.5, (0.5, 0.51, 0.49))
    outside = Measure('x', 0.9, 0.9, (0.5, 0.51, 0.49))
    golds = (0.300, 0.302, 0.301, 0.299, 0.298)
    equal = equivalence('recall@20', [0.3], golds)
    unsure = equivalence('recall@20', [0.3, 0.27, 0.33], golds)
    doubtful = CanaryTest(1e-4, 0.3, 0.3, 120, golds=(1e-5, 0.5))

    def found(likelihood=fine, test=equal, affected=fine, canaries=None):
        return dataclasses.replace(
            report,
            verdict=Verdict('not_measurable'),
            completeness=None,
            membership=dataclasses.replace(report.membership, auc=fine, likelihood=likelihood),
            utility=dataclasses.replace(report.utility, equivalence=[test]),
            affected=[affected],
            canaries=canaries,
        )

    assert plain in head(found())
    for other in (
        found(likelihood=outside),
        found(test=unsure),
        found(affected=outside),
        found(canaries=doubtful),
    ):
        assert plain not in head(other)
        assert 'This is not a pass' in head(other)


def test_a_loss_of_utility_without_golds_is_one_against_the_original(report):
    loss = dataclasses.replace(report, verdict=Verdict('utility_loss'))
    assert 'worse than after retraining' in head(loss)
    alone = dataclasses.replace(loss, run={**report.run, 'num_golds': 0})
    assert 'worse than under the original model' in head(alone)
    assert 'the data is forgotten' not in head(alone)
    assert 'after retraining.' not in head(alone)


def test_the_page_says_when(report, run):
    result = run[1]
    assert result.report.received_at <= result.report.unlearned_at <= report.run['audited_at']
    text = parsed(report.to_html())
    for name, time in (
        ('Request received', report.run['received_at']),
        ('Unlearned', report.run['unlearned_at']),
        ('Audited', report.run['audited_at']),
    ):
        assert f'{name} {time.replace("T", " ").replace("+00:00", " UTC")}' in text
    bare = dataclasses.replace(report, run={**report.run, 'received_at': None})
    assert 'Request received not known to the audit' in parsed(page(bare))


def test_what_a_band_is(report):
    text = parsed(report.to_html())
    assert 'at least how far one retrained model more is expected to lie' in text


def test_details_are_in_every_form(report):
    grouped = dataclasses.replace(
        report, utility=dataclasses.replace(report.utility, groups={'g': Measure('of g', 0.1, 0.2)})
    )
    names = [row.name for row in grouped.rows() if row.section == 'details']
    for expected in (
        'median shift of ranks',
        'true positives at 1.0% FPR',
        'true positives at 0.1% FPR',
        'gap closed, recall@20',
        'gap closed, membership AUC',
        'AUC, popular items',
        'of g',
    ):
        assert expected in names, expected
    for text in (str(grouped), grouped.to_markdown(), parsed(grouped.to_html())):
        for name in names:
            assert name in text


def test_a_page_without_gold_pairs_or_report(data, run):
    original, result, edit, _ = run
    bare = unlearn.audit(original, result.model, data=data, edit=edit)
    text = parsed(bare.to_html())
    assert 'No retrained model was given' in text
    assert 'not stated: the report of the run was not given' in text
    nothing = dataclasses.replace(bare, completeness=None, membership=None)
    assert 'No interaction was forgotten' in parsed(nothing.to_html())


def test_forms_agree(report, tmp_path):
    document = json.loads(report.to_json())
    assert document['status'] == report.status
    recall = document['completeness']['forget_ranking']['recall@20']
    for text in (str(report), report.to_markdown(), report.to_html()):
        assert report.status.replace('_', '-').split('-')[0] in text.lower()
        assert number(recall['unlearned']) in text
        assert number(document['membership']['auc']['score_threshold']['unlearned']) in text
    for suffix in ('.json', '.md', '.html'):
        path = report.save(tmp_path / f'audit{suffix}')
        assert path.read_text('utf-8')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['audit.html', 'audit.json', 'audit.md']
    with pytest.raises(GraphError, match='ends in'):
        report.save(tmp_path / 'audit.pdf')


def test_the_table_has_a_line_for_every_row(report):
    lines = str(report).splitlines()
    for row in report.rows():
        assert any(line.strip().startswith(row.name) for line in lines), row.name
    assert report.to_markdown().count('\n| ') == len(report.rows()) + 1


def test_plots_are_well_formed_and_put_things_where_they_belong():
    golds = (0.29, 0.30, 0.31, 0.30)
    inside = Measure('recall@20', 0.5, 0.30, golds, memory=1)
    outside = Measure('score KS', 0.5, 0.4, (0.1, 0.12, 0.11), distance=True)
    root = ElementTree.fromstring(audit_plots.bands([inside, outside], {}))
    space = '{http://www.w3.org/2000/svg}'
    circles = [c for c in root.iter(f'{space}circle') if c.get('fill') != 'white']
    bands = list(root.iter(f'{space}rect'))[:2]
    spans = [(float(b.get('x')), float(b.get('x')) + float(b.get('width'))) for b in bands]
    assert spans[0][0] <= float(circles[0].get('cx')) <= spans[0][1]
    assert float(circles[1].get('cx')) > spans[1][1]
    assert circles[0].get('fill') == audit_plots.AFTER
    assert circles[1].get('fill') == audit_plots.BAD
    curve = audit_plots.Curve('a < b', '#000', '', torch.linspace(-1, 3, 101).tolist())
    ElementTree.fromstring(audit_plots.distribution([curve], 'score'))
    ElementTree.fromstring(audit_plots.bars([('a & b', 2.0, '#000'), ('c', 0.0, '#111')], 's'))


@pytest.mark.parametrize(
    ('value', 'text'), [(0, '0'), (1234.5, '1,234'), (0.12345, '0.123'), (1e-5, '1.0e-05')]
)
def test_short_numbers(value, text):
    assert audit_plots.short(value) == text
