"""Instances behind haproxy that share the CA and nothing else: enough for a load test that only waits for webhooks."""

import json
from collections import Counter
from pathlib import Path

from support.cluster import Cluster, cluster
from support.load import Load
from support.programs import curl
from support.receivers import Receiver
from support.waiting import wait_until

MOCKS = """
mocks:
  - match: POST api.slow.example/jobs
    response: {json: {id: "{{ job.id }}"}}
    webhook: {after: 200ms, to: "{{ env.CALLBACK_URL }}", json: {id: "{{ job.id }}"}}
"""


def test_a_load_is_spread_over_instances_and_goes_past_one_that_has_died(
    tmp_path: Path, confdir: Path, sut: Receiver
) -> None:
    with cluster(tmp_path, confdir, MOCKS, sut, count=2) as instances:
        with Load(rate=200) as load:
            load.send_to(instances.port)
            load.wait_for_more(100)
        wait_until(lambda: len(sut.requests) >= len(load.answered), "each job has its webhook")

        assert Counter(json.loads(webhook.body)["id"] for webhook in sut.requests) == Counter(load.answered)
        assert not load.broken_off
        for number in range(2):
            with instances.client(number) as client:
                assert client.jobs(limit=1), f"haproxy sent nothing to instance {number}"

        assert post_over_tls(instances) and post_over_tls(instances), "one CA, whatever instance answers"
        instances.kill(0)
        with Load(rate=200) as load:
            load.send_to(instances.port)
            load.wait_for_more(20)


def post_over_tls(instances: Cluster) -> str:
    """Start a job through haproxy; return its id."""
    trust = "--cacert", instances.instances[0].ca
    return str(json.loads(curl("-x", instances.url, *trust, "-d", "{}", "https://api.slow.example/jobs").stdout)["id"])
