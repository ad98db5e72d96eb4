import inspect

import pytest
import torch

import graphrec
from graphrec import models
from graphrec.errors import GraphError
from graphrec.models.presets import PRESETS
from graphrec.schedules import make_schedule

NAMES = [(model, name) for model, presets in PRESETS.items() for name in presets]


@pytest.mark.parametrize(('model', 'name'), NAMES)
def test_every_preset_builds_and_trains(make_graph, model, name):
    """Its settings are fields of the config and its training arguments of fit."""
    kind = getattr(models, model)
    settings, options = kind.preset(name), kind.fit_preset(name)
    wanted = kind.config_class(**settings)
    data = make_graph(20, 12, 0.3, features={'visual': 4, 'text': 5})
    built = kind.from_graph(data, **settings)
    assert built.config == wanted
    assert set(options) <= set(inspect.signature(graphrec.fit).parameters)
    make_schedule(options.get('schedule'), torch.optim.SGD(built.parameters()), 3)
    options |= {'epochs': 1, 'progress': False}
    history = graphrec.fit(built, data, **options)
    assert history['lr'].iloc[0] == options['lr']


def test_values_are_those_of_the_sources():
    assert models.MMHCL.preset('sports')['user_layers'] == 2
    assert models.MMHCL.preset('clothing')['k'] == 10
    assert models.MMHCL.config_class(**models.MMHCL.preset('tiktok')) == models.MMHCL.config_class()
    options = models.MMHCL.fit_preset('sports')
    assert options['schedule'] ** 50 == pytest.approx(0.96)
    assert (options['batch_size'], options['lr'], options['patience']) == (1024, 1e-4, 6)
    assert models.LGMRec.preset('sports')['num_global_layers'] == 4
    assert models.LGMRec.config_class(**models.LGMRec.preset('baby')) == (
        models.LGMRec.config_class()
    )
    bm3 = models.BM3.preset('electronics')
    assert (bm3['num_layers'], bm3['dropout'], bm3['reg']) == (2, 0.3, 0.1)
    assert models.LIRDRec.fit_preset('baby')['lr'] == 1e-4
    assert models.DirectAU.preset('beauty')['num_layers'] == 0


@pytest.mark.parametrize('model', ['SGL', 'SimGCL', 'XSimGCL', 'NCL', 'LightGCN'])
def test_defaults_are_the_preset_of_yelp(model):
    kind = getattr(models, model)
    assert kind.config_class(**kind.preset('yelp2018')) == kind.config_class()


def test_what_is_given_is_a_copy():
    models.MMHCL.preset('sports')['reg'] = 5.0
    models.MMHCL.fit_preset('sports')['lr'] = 5.0
    assert models.MMHCL.preset('sports')['reg'] == 1e-5
    assert models.MMHCL.fit_preset('sports')['lr'] == 1e-4


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(GraphError, match=r"MMHCL has no preset 'moon'; there are \['tiktok'"):
        models.MMHCL.preset('moon')
    with pytest.raises(GraphError, match=r'BUIR has no preset .* only its defaults'):
        models.BUIR.fit_preset('yelp2018')
