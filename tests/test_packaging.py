import ast
import importlib
import re
import runpy
import subprocess
import sys
import types
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import graphrec
from graphrec.version import __version__

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / 'graphrec').rglob('*.py'))
MODULE_OF = {'torch-geometric': 'torch_geometric', 'torch-scatter': 'torch_scatter'}
MODULE_OF |= {'faiss-cpu': 'faiss', 'scikit-learn': 'sklearn'}
OPTIONAL = {'torch_scatter', 'faiss', 'implicit', 'bm25s', 'tensorboard'}


def module_of(requirement: str) -> str:
    name = Requirement(requirement).name
    return MODULE_OF.get(name, name)


@pytest.fixture(scope='module')
def metadata():
    """The arguments that setup.py gives to setuptools, which need not be installed."""
    given = {}
    fake = types.ModuleType('setuptools')
    fake.setup = lambda **arguments: given.update(arguments)
    fake.find_packages = lambda include: include
    real = sys.modules.get('setuptools')
    sys.modules['setuptools'] = fake
    try:
        runpy.run_path(str(ROOT / 'setup.py'))
    finally:
        del sys.modules['setuptools']
        if real is not None:
            sys.modules['setuptools'] = real
    return given


def imports(path, top_level=False):
    """Third-party modules that a file imports, at its top level or anywhere."""
    tree = ast.parse(path.read_text('utf-8'))
    names = set()
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.partition('.')[0])
    return names - set(sys.stdlib_module_names) - {'graphrec'}


def test_version_stands_in_one_place(metadata):
    assert metadata['version'] == __version__ == graphrec.__version__
    assert f'## [{__version__}]' in (ROOT / 'CHANGELOG.md').read_text('utf-8')


def test_every_requirement_is_pinned_to_a_version_that_it_allows(metadata):
    pins = {}
    for line in (ROOT / 'constraints.txt').read_text('utf-8').splitlines():
        if line and not line.startswith('#'):
            pin = Requirement(line)
            (only,) = pin.specifier
            assert only.operator == '=='
            pins[canonicalize_name(pin.name)] = only.version
    extras = [text for texts in metadata['extras_require'].values() for text in texts]
    for text in metadata['install_requires'] + extras:
        wanted = Requirement(text)
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), text
    assert pins['torch'] == '2.13.0'


def test_requirements_are_what_the_code_imports(metadata):
    required = {module_of(text) for text in metadata['install_requires']}
    extras = metadata['extras_require']
    optional = {module_of(text) for name in extras if name != 'dev' for text in extras[name]}
    used = set().union(*(imports(path) for path in SOURCES))
    assert used <= required | optional
    assert required - used <= {'pyarrow'}  # pandas reads Parquet through it.
    assert optional >= OPTIONAL


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_extras_are_imported_only_where_they_are_used(path):
    assert not imports(path, top_level=True) & OPTIONAL


def test_import_works_without_the_extras():
    code = (
        'import sys\n'
        "for name in ('faiss', 'implicit', 'tensorboard', 'torch_scatter', 'pytest'):\n"
        '    sys.modules[name] = None\n'
        'import graphrec, graphrec.cli\n'
        'print(graphrec.__version__)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == __version__


def test_console_script_and_type_marker(metadata):
    (script,) = metadata['entry_points']['console_scripts']
    name, target = re.fullmatch(r'(\S+) = (\S+)', script).groups()
    module, _, attribute = target.partition(':')
    assert name == 'graphrec'
    assert callable(getattr(importlib.import_module(module), attribute))
    assert metadata['packages'] == ['graphrec', 'graphrec.*']
    for folder in {path.parent for path in SOURCES}:
        assert (folder / '__init__.py').exists(), f'{folder} would not be packaged'
    assert metadata['package_data'] == {'graphrec': ['py.typed']}
    assert (ROOT / 'graphrec' / 'py.typed').exists()


def test_make_targets_and_the_files_they_name():
    makefile = (ROOT / 'Makefile').read_text('utf-8')
    targets = set(re.findall(r'^([a-z]+):', makefile, re.MULTILINE))
    assert {'demo', 'test', 'lint', 'scatter', 'clean'} <= targets
    done = subprocess.run(
        ['make', '--dry-run', 'demo', 'VENV=.none'], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert '--constraint constraints.txt' in done.stdout
    assert 'torch-scatter' not in done.stdout
    assert 'make test' in (ROOT / '.ci' / 'run').read_text('utf-8')
