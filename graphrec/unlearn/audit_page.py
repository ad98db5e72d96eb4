"""One page for a reader without the code: what was asked, what was checked, what it means."""

import html
from collections.abc import Iterable, Sequence
from typing import Any

from graphrec.unlearn import audit_plots as plots
from graphrec.unlearn import audit_words as words
from graphrec.unlearn.audit_meaning import meaning
from graphrec.unlearn.audit_report import EXCLUSIONS, AuditReport, counted
from graphrec.unlearn.audit_rows import Row, number
from graphrec.unlearn.audit_style import STYLE
from graphrec.unlearn.check import Check


def page(report: AuditReport) -> str:
    """The report as one HTML file: no script, nothing from outside, no id of a person."""
    sections = [
        _head(report),
        _request(report),
        _residue(report),
        _forgetting(report),
        _attack(report),
        _utility(report),
        _cost(report),
        _limits(report),
        _details(report),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>Unlearning audit: {_text(report.status)}</title><style>{STYLE}</style></head>\n'
        f'<body><main>\n{"".join(sections)}\n</main></body></html>\n'
    )


def _head(report: AuditReport) -> str:
    tone = words.TONE.get(report.status, 'bad')
    when = _when(report.run['audited_at'])
    return (
        '<h1>Unlearning audit</h1>'
        f'<p class="muted">{_text(when)} · request <code>'
        f'{_text(report.request["digest"][:16])}</code></p>'
        f'<div class="verdict {tone}"><strong>{words.TITLE[report.status]}</strong>'
        f'{_text(meaning(report))}{_list(report.verdict.reasons)}</div>{_glance(report)}'
    )


def _when(time: str | None) -> str:
    if time is None:
        return 'not known to the audit'
    return time.replace('T', ' ').replace('+00:00', ' UTC')


def _glance(report: AuditReport) -> str:
    """The four questions with their answers, in one short table."""
    found, member = report.completeness, report.membership
    attacks = (member.auc, member.likelihood) if member is not None else ()
    outcomes = [test.outcome == 'equivalent' for test in report.utility.equivalence]
    answers: dict[str, Sequence[bool | None]] = {
        'No copy or trace was found in the graph and the model': [
            check.passed for check in report.checks if check.passed is not None
        ],
        'The model ranks and scores it as models do that never saw it': [
            measure.inside for measure in (found.decisive if found is not None else [])
        ],
        'Tested attacks tell it from unused data no better than after retraining': [
            attack.inside for attack in attacks if attack is not None
        ],
        'Those who stayed are served as well as after retraining': outcomes,
    }
    if report.canaries is not None:
        trace = None if report.canaries.in_doubt else not report.canaries.side
        answers['Interactions that were planted as a test left no trace'] = [trace]
    lines = ''.join(
        f'<tr><td>{_text(question)}</td><td class="mark {tone}">{word}</td></tr>'
        for question, values in answers.items()
        for tone, word in [_answer(values)]
    )
    return f'<table class="glance">{lines}</table>'


def _answer(values: Sequence[bool | None]) -> tuple[str, str]:
    if any(value is False for value in values):
        return 'no', 'not shown'
    if not values or any(value is None for value in values):
        return 'none', 'not measured'
    return 'yes', 'shown'


def _request(report: AuditReport) -> str:
    run, request = report.run, report.request
    facts = {
        'Asked to be forgotten': counted(request['counts']),
        'Request received': _when(run['received_at']),
        'Unlearned': _when(run['unlearned_at']),
        'Audited': _when(run['audited_at']),
        'Model': run['model'],
        'Method': run['method'],
        'Guarantee': report.guarantee,
        'The run itself reported': f'{run["own_status"]} ({run["stop_reason"]})'
        if run['own_status']
        else 'not given to the audit',
        'Compared with': f'the original model, and {run["num_golds"]} models retrained from '
        'scratch without the data (“gold”)',
        'Graph before': request['graph_digest_before'],
        'Graph after': request['graph_digest_after'],
    }
    if request['unknown']:
        facts['Asked for, but not held'] = counted(request['unknown'])
    items = ''.join(f'<dt>{_text(k)}</dt><dd>{_text(v)}</dd>' for k, v in facts.items())
    return f'<h2>What was asked, and what was done</h2><dl>{items}</dl>'


def _residue(report: AuditReport) -> str:
    rows = ''.join(_check(check) for check in report.checks)
    applied = [check for check in report.checks if check.passed is not None]
    exact = sum(check.passed is True for check in applied)
    return (
        '<h2>1. Is anything left?</h2>'
        f'<p>{exact} of {len(applied)} checks that apply hold. They are exact and have no '
        'tolerance, but for one: where learned numbers may have moved since they were replaced '
        '(retraining from scratch), or the report of the run is not at hand, a test compares them '
        'with the ones before. They cover the graph and the model given to the audit.</p>'
        f'<table><tr><th>Question</th><th>Finding</th><th></th></tr>{rows}</table>'
    )


def _check(check: Check) -> str:
    mark = {True: ('yes', 'exact'), False: ('no', 'fails'), None: ('quiet', 'does not apply')}
    tone, word = mark[check.passed]
    question = words.QUESTIONS.get(check.name, check.name)
    return (
        f'<tr><td>{_text(question)}</td><td>{_text(check.detail)}</td>'
        f'<td class="mark {tone}">{word}</td></tr>'
    )


def _forgetting(report: AuditReport) -> str:
    found = report.completeness
    title = '<h2>2. Does the model behave as if it had never seen the data?</h2>'
    if found is None and not report.affected:
        return f'{title}<p>No interaction was forgotten, so this cannot be measured.</p>'
    parts = [title]
    if found is not None:
        parts.append(f'<p>{words.NEVER_SAW}</p>')
    if report.affected:
        parts.append(f'<p>{words.AFFECTED}</p>')
    measures = [*(found.decisive if found else []), *report.affected]
    if report.membership is not None:
        measures += [
            m for m in (report.membership.auc, report.membership.likelihood) if m is not None
        ]
    parts.append(plots.bands(measures, words.LABELS))
    if not report.run['num_golds']:
        parts.append(
            '<p class="mark none">No retrained model was given: there is no band to compare '
            'with.</p>'
        )
    if report.scores:
        parts.append('<h3>Scores of the forgotten interactions</h3>')
        parts.append(plots.distribution(_curves(report.scores), 'score, standardised by user'))
        parts.append(
            '<p><small>Share of interactions with at most this score. If the unlearned curve '
            'lies on the retrained one, they cannot be told apart by their scores.</small></p>'
        )
    if report.gold_self_check:
        golds, hits = report.gold_self_check['golds'], report.gold_self_check['all']
        parts.append(
            f'<p><small>How strict is this? Each of the {golds} retrained models was audited '
            f'against the others: {hits} lay within all bands.</small></p>'
        )
    return ''.join(parts)


def _curves(scores: dict[str, list[float]]) -> list[plots.Curve]:
    looks = {
        'forgotten, original': ('forgotten, original model', plots.BEFORE, '5 4'),
        'forgotten, gold': ('forgotten, retrained model', plots.GOLD_LINE, ''),
        'held out, unlearned': ('never trained on, unlearned model', '#6b9e3f', '2 3'),
        'forgotten, unlearned': ('forgotten, unlearned model', plots.AFTER, ''),
    }
    return [plots.Curve(*look, scores[name]) for name, look in looks.items() if name in scores]


def _attack(report: AuditReport) -> str:
    found = report.membership
    title = '<h2>3. Could an attacker tell that the data was once used?</h2>'
    if found is None or found.auc is None:
        return f'{title}<p>Not measured: there is nothing comparable that was never used.</p>'
    auc = found.auc
    interval = ''
    if found.interval is not None:
        low, high = found.interval
        interval = f' (95 % interval over users {low:.3f} to {high:.3f})'
    rows = [
        ('By the score alone', auc),
        ('Knowing how retrained models score', found.likelihood),
        ('Comparing the model before and after', found.two_models),
    ]
    lines = ''.join(
        f'<tr><td>{_text(name)}</td>{_cells(m.original, m.gold, m.unlearned)}</tr>'
        for name, m in rows
        if m is not None
    )
    random = found.generalisation
    note = ''
    if random is not None:
        note = (
            '<p><small>Against random items the figure is '
            f'{number(random.unlearned)} (original {number(random.original)}'
            f'{f", retrained {number(random.gold)}" if random.gold is not None else ""}). That '
            'is generalisation, not memory: retrained models reach it too.</small></p>'
        )
    matching = found.matches
    return (
        f'{title}<p>The attacker is given forgotten interactions and comparable ones of the same '
        'kind that were never used (held-out interactions of the same users, items about as '
        f'popular; {matching["matched"]:,} compared, {matching["unmatched"]:,} without a match). '
        '0.5 is guessing, 1 is certainty; <em>below</em> 0.5 the forgotten ones stand out too. '
        f'The simplest attack reaches {auc.unlearned:.3f}{interval}.</p>'
        '<table><tr><th>Attack</th><th class="n">original</th><th class="n">retrained</th>'
        f'<th class="n">unlearned</th></tr>{lines}</table>{note}'
        '<p><small>An attacker who holds the model before <em>and</em> after sees what changed; '
        'retraining fails against that as well. Publishing deletions in batches blunts it.'
        '</small></p>'
    )


def _utility(report: AuditReport) -> str:
    found = report.utility
    title = '<h2>4. What did it cost those who stayed?</h2>'
    if not found.quality:
        return f'{title}<p>Not measured: the graph has no held-out interactions.</p>'
    lines = []
    tests = {test.metric: test for test in found.equivalence}
    for measure in found.quality:
        test = tests.get(measure.name)
        outcome = f'{test.in_words} (margin {number(test.margin)})' if test else 'no gold to test'
        lines.append(
            f'<tr><td>{_text(measure.name)}</td>'
            f'{_cells(measure.original, measure.gold, measure.unlearned)}'
            f'<td>{_text(outcome)}</td></tr>'
        )
    lines += [
        f'<tr><td>{_text(m.name)}</td>{_cells(m.original, m.gold, m.unlearned)}<td></td></tr>'
        for m in found.others
    ]
    change = found.change['recall@20']
    against = 'the retrained models' if change['against_gold'] else 'the original'
    return (
        f'{title}<p>All models are scored on the same {found.num_rows:,} held-out interactions of '
        f'{found.num_users:,} users who stayed ({_text(found.split)} part).</p>'
        '<table><tr><th>Measure</th><th class="n">original</th><th class="n">retrained</th>'
        f'<th class="n">unlearned</th><th>equivalent?</th></tr>{"".join(lines)}</table>'
        f'<p>Against {against}, recall@20 of a user changes by {change["mean"]:+.4f} on average; '
        f'for the worst-off 5 % of the users by {change["mean_of_the_worst_5_percent"]:+.4f}.</p>'
    )


def _cost(report: AuditReport) -> str:
    found = report.cost
    title = '<h2>5. Time</h2>'
    if found is None:
        return f'{title}<p>Not given to the audit.</p>'
    rows = [('This run', found.seconds, plots.AFTER)]
    if found.gold_seconds is not None:
        rows.append((f'Retraining (mean of {found.num_gold_reports})', found.gold_seconds,
                     plots.GOLD_LINE))  # fmt: skip
    speed = f' It is {found.speed_up:.1f} times faster.' if found.speed_up else ''
    return (
        f'{title}{plots.bars(rows, "s")}<p>{found.steps:,} steps; rebuilding the graph included '
        f'({found.rebuild:.2f} s), evaluation excluded ({found.evaluation:.2f} s).{speed}</p>'
    )


def _limits(report: AuditReport) -> str:
    missing = report.verdict.not_measured
    parts = ['<h2>6. Limits</h2>']
    if missing:
        parts.append(f'<h3>Not measured</h3>{_list(missing)}')
    if report.limits:
        parts.append(f'<h3>What weakens the findings</h3>{_list(report.limits)}')
    parts.append(f'<h3>Outside of this audit</h3>{_list(EXCLUSIONS)}')
    return ''.join(parts)


def _details(report: AuditReport) -> str:
    rows = ''.join(_row(row) for row in report.rows() if row.section != 'residue')
    run = report.run
    return (
        '<h2>All figures</h2><table><tr><th>Measure</th><th class="n">original</th>'
        '<th class="n">retrained (band)</th><th class="n">unlearned</th><th>result</th></tr>'
        f'{rows}</table><p><small>graphrec {_text(run["graphrec"])}, torch {_text(run["torch"])}, '
        f'seed {run["seed"]}. {words.BAND} This page holds no identifier of a user, an item or a '
        'query.</small></p>'
    )


def _row(row: Row) -> str:
    cells = ''.join(f'<td class="n">{_text(cell)}</td>' for cell in row[2:5])
    return f'<tr><td>{_text(row.name)}</td>{cells}<td>{_text(row.result)}</td></tr>'


def _cells(*values: float | None) -> str:
    return ''.join(f'<td class="n">{number(value)}</td>' for value in values)


def _list(texts: Iterable[str] | Sequence[str]) -> str:
    items = ''.join(f'<li>{_text(text)}</li>' for text in texts)
    return f'<ul>{items}</ul>' if items else ''


def _text(value: Any) -> str:
    return html.escape(str(value))
