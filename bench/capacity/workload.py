"""What is asked of the site. Sources, by the key that stands at each figure:

brief     GitLab.com at its peak: 1,500 reads and 60 writes a second, some 130 million requests a day
reads     about 95 % of GitLab.com's registry requests are reads:
          https://gitlab.com/gitlab-org/container-registry/-/issues/770
pushes    150,000 to 200,000 images are pushed to GitLab.com's registry each day: GitLab's blueprint "Container
          registry metadata database",
          https://docs.gitlab.co.jp/ee/architecture/blueprints/container_registry_metadata_database
FAST18    Anwar et al., "Improving Docker Registry Design Based on Production Workload Analysis", FAST '18: 75 days
          of IBM's registries, https://www.usenix.org/conference/fast18/presentation/anwar. Reads dominate; requests
          to names and layers are heavily skewed; 65 % of layers are smaller than 1 MB and 80 % smaller than 10 MB;
          no pronounced spikes return, so a rate may be constant. (Read in summaries: the paper's whole text and
          its traces could not be fetched from here.)
chosen    published nowhere that we know: our choice, and docs/capacity.md says what another would change
"""

from __future__ import annotations

from dataclasses import dataclass

DAY = 86_400.0
"""Seconds."""
WEEK = 7 * DAY

_CONFIG = 1
_UPLOAD_REQUESTS = 3
"""POST, PATCH, PUT for each blob that is uploaded."""


@dataclass(frozen=True)
class Workload:
    """One site's day. Rates are of the whole site, a second."""

    names: int
    """Repositories."""
    reads: float = 1500.0
    """GET and HEAD (brief)."""
    writes: float = 60.0
    """All others (brief)."""
    elsewhere: float = 1.0
    """Pushes straight to the primary, for each that goes through this site (chosen)."""
    zipf: float = 1.0
    """Exponent of the names' popularity among pulls (FAST18: heavily skewed; the value is chosen)."""
    push_zipf: float = 0.5
    """The same among pushes (chosen): a pipeline takes minutes, so no name is pushed as often as it is pulled."""
    tags: int = 20
    """Of a name (chosen)."""
    tag_zipf: float = 1.0
    """Exponent of a tag's popularity by its rank within the name, `latest` first (chosen)."""
    latest: float = 0.5
    """Share of pushes that move `latest`; the others make a new tag, and the oldest one goes (chosen)."""
    layers: int = 8
    """Of an image (chosen). Half of them are the name's own base, half are new with each push."""
    unchanged: float = 0.5
    """Share of pulls that end after the tag's HEAD, for the client has that image (chosen)."""
    missing: float = 0.5
    """Share of an image's layers that a client who goes on does not have (chosen)."""
    lag_median: float = 60.0
    """Seconds from a push to its arrival at the secondary (chosen)."""
    lag_sigma: float = 1.0
    """Of the lag's logarithm (chosen): one push in twenty takes longer than five minutes."""
    primary_latency: float = 0.09
    secondary_latency: float = 0.005
    """Seconds for an answer's head: those of `make demo` in the README, 80 ms between the sites."""
    notified_after: float = 1.0
    """Seconds from an event to its notification (chosen)."""
    seed: int = 1

    @property
    def own_layers(self) -> int:
        """Layers that come with a push."""
        return self.layers // 2

    @property
    def base_layers(self) -> int:
        return self.layers - self.own_layers

    @property
    def fresh_digests(self) -> int:
        """Digests that come with a push: layers, config, manifest."""
        return self.own_layers + _CONFIG + 1

    @property
    def reads_of_a_pull(self) -> float:
        """HEAD of the tag; then, unless it is unchanged, manifest, config and the layers that are missing."""
        return 1.0 + (1.0 - self.unchanged) * (1 + _CONFIG + self.missing * self.layers)

    @property
    def heads_of_a_push(self) -> int:
        """A client asks for each blob before it uploads it."""
        return self.layers + _CONFIG

    @property
    def writes_of_a_push(self) -> int:
        return _UPLOAD_REQUESTS * (self.own_layers + _CONFIG) + 1

    @property
    def pushes(self) -> float:
        """Through this site, a second."""
        return self.writes / self.writes_of_a_push

    @property
    def pulls(self) -> float:
        """A second."""
        return (self.reads - self.pushes * self.heads_of_a_push) / self.reads_of_a_pull
