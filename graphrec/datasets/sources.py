"""Public data sets, their addresses and what is known of their files."""

from dataclasses import dataclass

RECORD = 'download.json'  # In each downloaded folder: address, size, SHA-256 by file.

_GROUPLENS = 'https://files.grouplens.org/datasets/movielens'
_LIGHTGCN = (
    'https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/'
    '947ca2b3b1d2d3545b114145710cb06c4e57b3d2/data'
)
_AMAZON_2014 = 'https://snap.stanford.edu/data/amazon/productGraph/categoryFiles'
_AMAZON_2023 = (
    'https://mcauleylab.ucsd.edu/public_datasets/data/amazon_2023/benchmark/5core/rating_only'
)


@dataclass(frozen=True)
class RemoteFile:
    """A file of a source.

    Args:
        url: Its address; the last part is its name on disk.
        checksum: ``'md5:<hex>'``, ``'sha256:<hex>'`` or ``'git:<hex>'`` (SHA-1 of the
            git blob) as published; without one, the SHA-256 of the first download is
            recorded and later ones are held against it.
    """

    url: str
    checksum: str | None = None

    @property
    def name(self) -> str:
        """File name on disk."""
        return self.url.rsplit('/', 1)[-1]


@dataclass(frozen=True)
class Source:
    """A public data set: its name, what it is, its files, their format (a key of
    :data:`graphrec.datasets.formats.FORMATS`) and the licence as its owner states it."""

    name: str
    title: str
    format: str
    licence: str
    files: tuple[RemoteFile, ...]


def _lightgcn(name: str, title: str, blobs: dict[str, str]) -> Source:
    files = tuple(
        RemoteFile(f'{_LIGHTGCN}/{name}/{file}', f'git:{blob}') for file, blob in blobs.items()
    )
    return Source(name, title, 'lightgcn', 'not stated', files)


def _amazon_2014(name: str, category: str) -> Source:
    return Source(
        name,
        f'Amazon reviews 2014, {category.replace("_", " ")}, 5-core',
        'amazon',
        'research use; cite McAuley et al. 2015',
        (RemoteFile(f'{_AMAZON_2014}/reviews_{category}_5.json.gz'),),
    )


def _amazon_2023(name: str, category: str) -> Source:
    return Source(
        name,
        f'Amazon reviews 2023, {category.replace("_", " ")}, 5-core ratings',
        'amazon',
        'research use; cite Hou et al. 2024',
        (RemoteFile(f'{_AMAZON_2023}/{category}.csv.gz'),),
    )


_ALL = (
    Source(
        'movielens-100k',
        'MovieLens 100K: ratings, users, movies',
        'movielens',
        'GroupLens: research use, no redistribution',
        (RemoteFile(f'{_GROUPLENS}/ml-100k.zip', 'md5:0e33842e24a9c977be4e0107933c0723'),),
    ),
    Source(
        'movielens-1m',
        'MovieLens 1M: ratings, users, movies',
        'movielens',
        'GroupLens: research use, no redistribution',
        (RemoteFile(f'{_GROUPLENS}/ml-1m.zip', 'md5:c4d9eecfca2ab87c1945afe126590906'),),
    ),
    _lightgcn(
        'gowalla',
        'Gowalla check-ins, split of NGCF and LightGCN',
        {
            'train.txt': 'a27782bd7a1d4d0744148dc0460ea94da74763f2',
            'test.txt': '9ed5af4b5d21511f33740b4e22e3852f45671800',
            'user_list.txt': '6be41d0eedf17a8d9345ee4f7b70124cd4423bc4',
            'item_list.txt': 'ced87ec4352ba75a70b4c3afc62361aa655cc293',
        },
    ),
    _lightgcn(
        'yelp2018',
        'Yelp 2018 reviews, split of NGCF and LightGCN',
        {
            'train.txt': 'cda12361055ba448ae4bd1070f6000c16dea8f22',
            'test.txt': '30dfbc3437b27b74cb2970b435a5ec93ad9f2468',
            'user_list.txt': 'e307ac182d9acebc8f4e929eac0569f8b964e244',
            'item_list.txt': '8518b74211e56ab05462b4ce0a3222bb19c238f9',
        },
    ),
    _lightgcn(
        'amazon-book',
        'Amazon book reviews, split of NGCF and LightGCN',
        {
            'train.txt': '6ef55159c5f1fd7f6d86eb9ff290d0cc2854ac99',
            'test.txt': '09e5da4e0bf46c751c4ba0f4375e414fd13512cd',
            'user_list.txt': '9caeb9c0c9abd6ef1bdc2dbad1dcbda2dcffb8dc',
            'item_list.txt': 'a855fe36654521c76a9fe1bb2144dc420f279c9d',
        },
    ),
    _lightgcn(
        'lastfm',
        'Last.FM listening (HetRec 2011), split of LightGCN-PyTorch',
        {
            'data1.txt': '35bf4551dfd63df6d68be9b09214fafd0927212d',
            'test1.txt': 'c4227df62457fa5b3bf2926d13cae0218f2bebea',
        },
    ),
    _amazon_2014('amazon-baby', 'Baby'),
    _amazon_2014('amazon-beauty', 'Beauty'),
    _amazon_2014('amazon-cellphones', 'Cell_Phones_and_Accessories'),
    _amazon_2014('amazon-clothing', 'Clothing_Shoes_and_Jewelry'),
    _amazon_2014('amazon-instruments', 'Musical_Instruments'),
    _amazon_2014('amazon-sports', 'Sports_and_Outdoors'),
    _amazon_2014('amazon-toys', 'Toys_and_Games'),
    _amazon_2023('amazon23-toys', 'Toys_and_Games'),
    _amazon_2023('amazon23-games', 'Video_Games'),
)

SOURCES: dict[str, Source] = {source.name: source for source in _ALL}
