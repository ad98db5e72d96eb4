"""The command line: parses, calls the library, prints. ``graphrec --help`` lists it all."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from graphrec import demo as demonstration
from graphrec import forget_commands, job, runs, saved_run
from graphrec.catalogue import catalogue
from graphrec.command import (
    PATH,
    Commands,
    common_options,
    data_argument,
    load_option,
    model_argument,
    runnable,
)
from graphrec.console import Output
from graphrec.datasets import download
from graphrec.graphs import statistics
from graphrec.model_catalogue import model_catalogue
from graphrec.settings import parse_settings
from graphrec.version import __version__

k_option = click.option(
    '--k', type=int, multiple=True, default=(10, 20), show_default=True, help='Cut-off; repeatable.'
)


@click.group(cls=Commands, invoke_without_command=True)
@click.version_option(__version__, prog_name='graphrec')
@click.pass_context
def main(context: click.Context) -> None:
    """Graph recommendation, from a folder of data to served rankings.

    DATA is a folder, or the word 'planted' for embedded data. Bad input ends with one
    line 'error: ...' on standard error and exit code 2.

    \b
    Example: graphrec demo
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@main.command()
@click.option(
    '--out', type=PATH, default=Path('graphrec-demo'), show_default=True, help='Folder to fill.'
)
@common_options
def demo(out: Path, seed: int, output: Output) -> None:
    """Five models on embedded data, compared.

    Ends with a table, a picture and the next command to try.

    \b
    Example: graphrec demo --out graphrec-demo
    """
    result = demonstration.run(out, seed=seed, note=output.note, progress=output.progress)
    output.table(result.recommendations, f'For user {result.user}')
    output.table(result.why, f'Why item {result.explanation.item}: parts of its score')
    output.table(result.scores, 'Test part, all items ranked')
    output.line(f'Picture: {result.picture}')
    output.line(f'Next:    {runnable(result.next_command)}')
    output.finish(result.to_dict())


@main.command()
@click.option('--root', type=PATH, default=Path('data'), show_default=True, help='Your folders.')
@click.option('--download', 'name', help='Bring this one to --root.')
@common_options
def datasets(root: Path, name: str | None, seed: int, output: Output) -> None:
    """List what can be loaded, or download it.

    Lists embedded data, the folders under --root, and public sources.

    \b
    Example: graphrec datasets --root ../shared/data
    """
    if name is not None:
        folder = download(name, root, progress=output.progress)
        output.line(f'Folder: {folder}')
        output.finish({'folder': folder})
        return
    table = catalogue(root)
    output.table(table[['name', 'kind', 'title']])
    output.line(f"A folder is named by its path, such as '{root / 'NAME'}'.")
    output.finish({'datasets': table})


@main.command()
@common_options
def models(seed: int, output: Output) -> None:
    """List what can be trained, with paper and graphs.

    The name is what 'train --model' takes.

    \b
    Example: graphrec models --json
    """
    table = model_catalogue()
    for row in table.fillna({'year': 0}).itertuples(index=False):
        source = f'{row.paper} ({row.year})' if row.year else 'no paper'
        output.line(f'{row.name:<20} {row.about}; {source}; graphs: {row.graphs}')
    output.finish({'models': table})


@main.command()
@data_argument
@load_option
@click.option('--picture', type=PATH, help='Draw degrees and popularity (.png or .svg).')
@common_options
def describe(
    source: str, load: tuple[str, ...], picture: Path | None, seed: int, output: Output
) -> None:
    """Sizes, degrees, popularity and cold start of DATA.

    \b
    Example: graphrec describe ../shared/data/tiktok --picture tiktok.png
    """
    facts = statistics.describe(
        runs.open_data(source, seed, parse_settings(runs.LoadOptions, load))
    )
    if picture is not None:
        statistics.draw(facts, picture)
    output.line(str(facts))
    if picture is not None:
        output.line(f'Picture: {picture}')
    output.finish({**facts.to_dict(), 'picture': picture})


@main.command()
@data_argument
@load_option
@click.option(
    '--model',
    'name',
    type=click.Choice(list(runs.MODELS), case_sensitive=False),
    default='lightgcn',
    show_default=True,
    help='Method.',
)
@click.option('--out', type=PATH, help='Folder of the trained model; default runs/DATA-MODEL.')
@click.option('--epochs', type=int, default=100, show_default=True, help='At most so many.')
@click.option(
    '--batch-size', type=int, default=2048, show_default=True, help='Interactions a step.'
)
@click.option('--lr', type=float, default=1e-3, show_default=True, help='Learning rate.')
@click.option('--dim', type=int, help='Size of the embeddings; default of the model.')
@click.option('--num-layers', type=int, help='Layers; default of the model.')
@click.option('--preset', help='Published settings by data set; what is given wins.')
@click.option('--set', 'pairs', multiple=True, metavar='KEY=VALUE', help='Any model setting.')
@click.option('--metric', help='Validation metric; default recall at the largest --k.')
@click.option('--patience', type=int, default=10, show_default=True, help='Evaluations to wait.')
@click.option('--split', 'how', type=click.Choice(runs.SPLITS), help='Split anew.')
@click.option('--checkpoint', type=PATH, help='Folder of the checkpoint.')
@click.option('--resume', is_flag=True, help='Go on from the checkpoint.')
@k_option
@common_options
def train(
    source: str,
    out: Path | None,
    preset: str | None,
    how: str | None,
    seed: int,
    output: Output,
    **given: Any,
) -> None:
    """Train a model on DATA, judge it and save it.

    Popularity stands beside it in the table. The epoch is chosen on the validation part;
    the test part is only read at the end.

    \b
    Example: graphrec train ../shared/data/tiktok --model lightgcn --out runs/tiktok
    """
    name, pairs = given.pop('name'), list(given.pop('pairs'))
    out = out or Path('runs', f'{Path(source).resolve().name}-{name}')
    short = {'dim': given.pop('dim'), 'num_layers': given.pop('num_layers')}
    pairs = [f'{key}={value}' for key, value in short.items() if value is not None] + pairs
    kind = runs.model_class(name)
    settings = parse_settings(kind.config_class, pairs)
    if preset is not None:
        settings = {**kind.preset(preset), **settings}
        given |= {key: value for key, value in kind.fit_preset(preset).items() if _is_open(key)}
    load = parse_settings(runs.LoadOptions, given.pop('load'))
    result = job.train(
        source,
        out,
        name,
        settings,
        how=how,
        load=load,
        seed=seed,
        note=output.note,
        progress=output.progress,
        **given,
    )
    output.table(result.scores, f'{result.split} part, all items ranked')
    for sentence in result.counts():
        output.line(sentence)
    output.line(f'Saved: {out}')
    output.line(f'Next:  {runnable(result.next_command)}')
    output.finish(result.to_dict())


def _is_open(name: str) -> bool:
    """Whether an option of the running command was left at its default."""
    source = click.get_current_context().get_parameter_source(name)
    return source in (None, ParameterSource.DEFAULT)


@main.command()
@model_argument
@data_argument
@click.option(
    '--split',
    type=click.Choice(['test', 'valid']),
    default='test',
    show_default=True,
    help='Held-out part.',
)
@click.option('--metrics', default='recall,ndcg', show_default=True, help='Separated by commas.')
@click.option('--mask-valid', is_flag=True, help='Validation items are out of the running too.')
@click.option('--groups', is_flag=True, help='Also by group of users, or of searches.')
@click.option('--negatives', type=int, help='Sampled ranking: 1 against so many.')
@click.option(
    '--task',
    type=click.Choice(['recommend', 'search']),
    default='recommend',
    show_default=True,
    help='What is judged.',
)
@k_option
@common_options
def evaluate(folder: Path, source: str, seed: int, output: Output, **given: Any) -> None:
    """Judge a trained MODEL on a held-out part of DATA.

    \b
    Example: graphrec evaluate runs/tiktok ../shared/data/tiktok --k 10 --k 20
    """
    result = saved_run.evaluate(folder, source, seed=seed, **given)
    output.line(str(result))
    output.finish(
        {
            'scores': dict(result),
            'users': result.num_users,
            'dropped': result.dropped,
            'notes': result.notes,
            'protocol': result.protocol,
            'searches': None if result.per_event is None else len(result.per_event),
            'groups': None if result.groups is None else result.groups.reset_index(),
        }
    )


@main.command()
@model_argument
@data_argument
@click.option('--users', help='Ids separated by commas, or a file with one id a line.')
@click.option('--history', help='Items of someone who is not in DATA, separated by commas.')
@click.option('--k', type=int, default=20, show_default=True, help='Items a user.')
@click.option('--out', type=PATH, help='Write a CSV file.')
@common_options
def recommend(
    folder: Path,
    source: str,
    users: str | None,
    history: str | None,
    k: int,
    out: Path | None,
    seed: int,
    output: Output,
) -> None:
    """The best items for users, or for someone new.

    Without --users and --history, everyone in DATA is served.

    \b
    Example: graphrec recommend runs/tiktok ../shared/data/tiktok --users 1,2,3 --k 10
    """
    top = saved_run.recommend(folder, source, users=users, history=history, k=k, out=out, seed=seed)
    if out is None:
        output.table(top)
    else:
        output.line(f'Wrote {len(top):,} rows: {out}')
    output.finish({'recommendations': top, 'out': out})


@main.command()
@model_argument
@data_argument
@click.argument('queries', metavar='QUERY...', nargs=-1, required=True)
@click.option('--user', help='Id of who asks; by default someone unknown.')
@click.option('--k', type=int, default=20, show_default=True, help='Items a query.')
@click.option('--out', type=PATH, help='Write a CSV file.')
@common_options
def search(
    folder: Path,
    source: str,
    queries: tuple[str, ...],
    user: str | None,
    k: int,
    out: Path | None,
    seed: int,
    output: Output,
) -> None:
    """The best items for a query, or for several.

    Put a query of several words in quotes.

    \b
    Example: graphrec search runs/lastfm ../shared/data/lastfm-2k-mm "female vocalists" --k 10
    """
    found = saved_run.search(folder, source, queries, user=user, k=k, out=out, seed=seed)
    if out is None:
        output.table(found)
    else:
        output.line(f'Wrote {len(found):,} rows: {out}')
    unseen = dict(zip(queries, found.attrs['unseen'], strict=True))
    for query, words in unseen.items():
        if words:
            output.line(f'Unknown to the model in "{query}": {", ".join(words)}')
    output.finish({'results': found, 'unseen': unseen, 'out': out})


@main.command()
@model_argument
@data_argument
@click.option('--user', required=True, help='Id of the user.')
@click.option('--item', required=True, help='Id of the item.')
@click.option('--paths', type=int, default=10, show_default=True, help='At most so many.')
@click.option('--picture', type=PATH, help='Draw the paths (.png or .svg).')
@common_options
def explain(
    folder: Path,
    source: str,
    user: str,
    item: str,
    paths: int,
    picture: Path | None,
    seed: int,
    output: Output,
) -> None:
    """Why an item has its score for a user, exactly.

    \b
    Example: graphrec explain runs/tiktok ../shared/data/tiktok --user 1 --item 5
    """
    result = saved_run.explain(folder, source, user, item, num_paths=paths, seed=seed)
    output.line(str(result))
    if picture is not None:
        output.line(f'Picture: {result.draw(picture)}')
    output.finish({**result.to_dict(), 'picture': picture})


main.add_command(forget_commands.forget)
main.add_command(forget_commands.audit)
main.add_command(forget_commands.ledger)
