"""The plain words of an audit's page."""

MEANING = {
    'passed': (
        'All checks for left-over data hold, and on the measures that the verdict rests on the '
        'model lies within the range of models retrained without the data.'
    ),
    'under_forgotten': (
        'The model still treats the forgotten data differently from data that it never saw. '
        'The request is not fulfilled.'
    ),
    'over_forgotten': (
        'The model pushes the forgotten data away more than a model that never saw it would, '
        'which by itself can reveal what was forgotten. The request is not fulfilled.'
    ),
    'utility_loss': (
        'On what was measured the data is forgotten, but recommendations for the others became '
        'worse than after retraining.'
    ),
    'not_measurable': (
        'Nothing was found against the model, but something that a pass asks for was not '
        'measured. This is not a pass.'
    ),
    'failed': (
        'Something of the data is left, or the run did not do what it should. The request is '
        'not fulfilled.'
    ),
    'noop': 'There was nothing to forget: the data holds nothing of what was asked.',
}
TITLE = {
    'passed': 'Passed',
    'under_forgotten': 'Not passed: under-forgotten',
    'over_forgotten': 'Not passed: over-forgotten',
    'utility_loss': 'Not passed: loss of utility',
    'not_measurable': 'Not passed: not fully measured',
    'failed': 'Failed',
    'noop': 'Nothing to do',
}
TONE = {'passed': 'good', 'not_measurable': 'open', 'noop': 'open'}
#: What each check for residue asks, in plain words.
QUESTIONS = {
    'structure': 'Does the graph, or anything computed from it, still mention the data?',
    'taint': 'If the data is replaced by a marker before it is removed, does the marker survive?',
    'walk': 'Is every table inside the model accounted for?',
    'autograd': 'Could a model still learn from the removed features?',
    'dependence': 'Do results still depend on what was removed?',
    'commutation': 'Does the order of removals, or repeating them, make a difference?',
    'storage': 'Does anything share memory with the data or the model before?',
    'removed rows': 'Were the learned numbers of removed users and items replaced?',
    'samplers': 'Could further training draw what was removed?',
}
LABELS = {
    'recall@20': 'Found in the first 20',
    'median_rank': 'Median place in the ranking',
    'score KS': 'Distance of scores (KS)',
    'membership AUC': 'Attack: told apart (AUC)',
    'likelihood-ratio AUC': 'Stronger attack (AUC)',
    'drift, items that lost a modality': 'Items concerned: whom they suit',
    'level, items that lost a modality': 'Items concerned: how high they stand',
}

#: Of the verdicts that are about less than :data:`MEANING` says.
WITHOUT_GOLD = (
    'Nothing that was measured says that the data is remembered, but recommendations for the '
    'others became worse than under the original model. Too few retrained models were given to '
    'say how much of that retraining would cost as well.'
)
OPEN = (
    'It was not shown that the data is forgotten and the others are served as after retraining. '
    'This is not a pass.'
)
BAND = (
    'The band of a measure is the 95th percentile of the differences between retrained models, but '
    'at least how far one retrained model more is expected to lie with 95 % probability, and for '
    'ranks at least one place.'
)

NEVER_SAW = (
    'A model that never saw an interaction does not rank it last: it ranks it where the '
    'rest of the user’s history puts it. So the right result is neither zero nor “lower is '
    'better”, it is the place where retrained models put it. Their band says how far '
    'retrained models differ among themselves.'
)
AFFECTED = (
    'Items lost an image, a text or another description, and kept their interactions. What the '
    'description had taught is gone if these items are recommended to whom, and stand as high as, '
    'under models retrained without it: as close to them as these are to each other.'
)
