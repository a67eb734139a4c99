"""A queue in the place of SLURM's: an executor of Snakemake by the plugin's name and options.

It notes what every job asks for and runs the job's own command, as a node would, on this machine.
What SLURM itself makes of it is tested in tests/cluster, where there is a SLURM.
"""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

ASKED = Path("asked.jsonl")  # a line a job, in the folder of the run

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
    pass_group_args=True,
)


def option(default: object, help: str) -> object:
    return field(default=default, metadata={"help": help})


@dataclass
class ExecutorSettings(ExecutorSettingsBase):
    """The options of the plugin that the profile sets."""

    partition_config: str = option("", "The partitions.")
    no_requeue: bool = option(False, "Whether a lost job stays lost.")
    status_command: str = option("", "What tells of jobs.")
    init_seconds_before_status_checks: int = option(40, "Until the first look.")
    logdir: str = option("", "Where logs go.")
    delete_logfiles_older_than: int = option(10, "Days.")


class Executor(RemoteExecutor):
    """Runs a job at once, as the command that a node would be given."""

    def __post_init__(self) -> None:
        self.next_seconds_between_status_checks = 0.2

    def run_job(self, job) -> None:
        asked = {"name": job.name, "threads": job.threads, **dict(job.resources.items())}
        with ASKED.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asked, default=str) + "\n")
        done = subprocess.run(self.format_job_exec(job), shell=True, check=False)
        self.report_job_submission(SubmittedJobInfo(job, aux={"code": done.returncode}))

    async def check_active_jobs(self, active_jobs):
        for info in active_jobs:
            if info.aux["code"] == 0:
                self.report_job_success(info)
            else:
                self.report_job_error(info)
            if False:
                yield info  # none is still at work

    def cancel_jobs(self, active_jobs) -> None:
        pass
