"""Fits a set on a Ray cluster of two nodes on this machine, one of which is killed half-way.

In a process of its own, since a cluster leaves threads and handlers behind.

    python ray_cluster.py SOURCE OUT OPTIONS-AS-JSON
"""

import json
import sys

import ray
from ray.cluster_utils import Cluster

import fields


class KillsHalfWay:
    """A progress that takes a node away once half of the shapes are behind."""

    def __init__(self, cluster, node):
        self.cluster, self.node, self.killed_at = cluster, node, None

    def advance(self, figures):
        if self.killed_at is None and 2 * figures.number >= figures.total:
            self.killed_at = figures.number
            self.cluster.remove_node(self.node, allow_graceful=False)

    def say(self, text):
        pass

    def close(self):
        pass


def main(source, out, options):
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": 2**27, "include_dashboard": False},
    )
    try:
        node = cluster.add_node(num_cpus=1, object_store_memory=2**27)
        cluster.wait_for_nodes()
        progress = KillsHalfWay(cluster, node)
        found = fields.fit_many(
            source, out, ray=cluster.address, progress=progress, **json.loads(options)
        )
        print(json.dumps({"fields": len(found), "killed_at": progress.killed_at}))
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
