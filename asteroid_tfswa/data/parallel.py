"""One call for each song, several at a time, under a progress bar."""

from tqdm import tqdm

from asteroid_tfswa.data.raw.check import and_more
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.threads import Threads


def in_parallel(function, jobs, description, n_jobs, stop):
    """Call `function(*job)` for all jobs in threads, under a progress bar.

    Threads are enough: libsndfile and ffmpeg do the work outside Python's lock. The others are
    finished even if a song cannot be used. Any other exception, such as Ctrl-C or a full disk, sets
    `stop` and ends the work.

    Args:
        function (callable): called with each job.
        jobs (list of tuple): its arguments.
        description (str): of the progress bar.
        n_jobs (int): how many at a time.
        stop (threading.Event): set to end the work.

    Returns:
        list: the results, in order.

    Raises:
        InputError: the first of those raised, once all jobs are done.
    """

    def attempt(i, job):
        try:
            return i, function(*job)
        except InputError as problem:
            return i, problem

    with Threads(n_jobs) as threads:
        try:
            for i, job in enumerate(jobs):
                threads.submit(attempt, i, job)
            ended = dict(threads.result() for _ in tqdm(jobs, desc=description, unit="song"))
        except BaseException:
            stop.set()
            raise
    results = [ended[i] for i in range(len(jobs))]
    problems = [result for result in results if isinstance(result, InputError)]
    if problems:
        raise InputError(f"{problems[0]}{and_more(problems)}")
    return results
