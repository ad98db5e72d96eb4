"""Packaging of graphrec; settings of the tools stand in ``pyproject.toml``."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION_FILE = HERE / 'graphrec' / 'version.py'
VERSION = re.search(r"^__version__ = '(.+)'$", VERSION_FILE.read_text('utf-8'), re.M).group(1)

EXTRAS = {
    'scatter': ['torch-scatter'],  # Source only; see `make scatter`.
    'faiss': ['faiss-cpu'],
    'als': ['implicit'],
    'bm25': ['bm25s'],
    'tensorboard': ['tensorboard'],
    'test': ['pytest', 'hypothesis'],
}
EXTRAS['dev'] = [*EXTRAS['test'], 'ruff', 'mypy']

setup(
    name='graphrec',
    version=VERSION,
    description='Graph recommendation on PyTorch Geometric, from data to served rankings',
    long_description=(HERE / 'README.md').read_text('utf-8'),
    long_description_content_type='text/markdown',
    license='MIT',
    python_requires='>=3.10',
    packages=find_packages(include=['graphrec', 'graphrec.*']),
    package_data={'graphrec': ['py.typed']},
    install_requires=[
        'torch>=2.4',
        'torch-geometric>=2.6',
        'numpy',
        'scipy',
        'scikit-learn',
        'pandas>=2.0',
        'pyarrow',
        'networkx',
        'matplotlib',
        'safetensors',
        'click>=8.0',
        'rich',
        'tqdm',
        'typing_extensions',
    ],
    extras_require=EXTRAS,
    entry_points={'console_scripts': ['graphrec = graphrec.cli:main']},
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Typing :: Typed',
    ],
)
