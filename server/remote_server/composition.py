"""The server's parts, made in one go, each with its ports. Opens nothing but the folders of inputs
and contents.

Nobody gets a callback afterwards: what changes in the database reaches everybody through the bus,
what changes in the links reaches the dispatcher through its signal.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from remote_server.agent_logs import AgentLogs
from remote_server.artifacts import ArtifactWatch, LocalArtifacts
from remote_server.audit_trail import AuditTrail
from remote_server.bus import Bus, LocalBus
from remote_server.clocks import CLOCK, boot_clock
from remote_server.config import Config
from remote_server.contents import ContentUpkeep, ContentUploads, LocalContents
from remote_server.data_dir import DataDir
from remote_server.destinations import Networks
from remote_server.disk.reserve import Reserve
from remote_server.dispatch_signal import DispatchSignal
from remote_server.dispatcher import Dispatcher
from remote_server.domain.contents import ContentLimits
from remote_server.domain.model import Clock
from remote_server.domain.signing import KEY_SIZE, SigningKey, key_text
from remote_server.export import PendingSpans, exports
from remote_server.file_limit import raise_file_limit
from remote_server.hub import Files, Hub, HubTerms
from remote_server.inputs import InputStore
from remote_server.inputs.watch import InputWatch
from remote_server.log_copies import LogCopies
from remote_server.logs.opening import open_archive, open_logs, open_place
from remote_server.logs.packer import Packer
from remote_server.oidc.opening import open_provider
from remote_server.queries.fleet import FleetReader
from remote_server.queries.gauges import Gauges, Metrics
from remote_server.queries.history import History
from remote_server.queries.overview import OverviewReader
from remote_server.queries.sources import Sources
from remote_server.relays import Relays
from remote_server.retention import Deletions, Retention, RetentionSettings
from remote_server.secrets.source import open_keys
from remote_server.secrets.vault import Vault
from remote_server.stopped_groups import StoppedGroups
from remote_server.store import Store
from remote_server.sweeper import Sweeper, SweeperSettings
from remote_server.web import (
    Authenticator,
    BodyBudget,
    Connections,
    Followers,
    Judges,
    ProgramLogins,
    ProviderSignIn,
    Services,
    Sessions,
    Streams,
    agent_log_topic,
    allowance,
    description,
)
from remote_server.webhooks.client import HttpPoster
from remote_server.webhooks.sender import Sender, SenderSettings
from remote_server.webhooks.watch import StateWatch

MOST_REFUSALS: Final = 100
"""Kinds of refusals, and of calls that are told only once a minute, that the audit tells apart."""
Loop = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server is made of."""

    services: Services
    loops: Mapping[str, Loop]
    """Each runs until it is cancelled."""


def compose(config: Config, data: DataDir, store: Store) -> Parts:
    """Make everything that stands on an open store, and have it hear of commits."""
    clock, signal = CLOCK, DispatchSignal()
    bus: Bus = LocalBus()
    durable = config.server.durability == "full"
    reserve = Reserve(data.logs, config.limits.min_free_disk)
    archive = open_archive(config, data.archive)
    logs = open_logs(data.logs, archive, reserve, config.logs.pack_above)
    inputs = InputStore(data.inputs, reserve, boot_clock, config.limits.max_job_input, durable)
    inputs.scan()
    artifacts = LocalArtifacts(data.artifacts, reserve, durable)
    contents = _contents(config, data, store, reserve, clock)
    contents.scan()
    followers = Followers()
    agent_logs = AgentLogs(
        data.agent_logs,
        reserve,
        config.agents.log_size,
        lambda agent: followers.notify((agent_log_topic(agent),)),
    )
    terms = HubTerms(
        heartbeat_interval=config.agents.heartbeat_interval,
        offer_ttl=config.agents.offer_ttl,
        durable=durable,
        max_job_log=config.limits.max_job_log,
        max_artifacts=config.limits.max_artifacts,
    )
    vault = Vault(store, open_keys(config.secrets, data.secrets_key))
    files = Files(logs, inputs, agent_logs, vault, artifacts, contents.contents)
    hub = Hub(store, files, terms, signal.wake, clock)
    dispatcher = Dispatcher(store, hub, clock, signal)
    sweeping = SweeperSettings(
        offer_ttl=config.agents.offer_ttl,
        start_ttl=config.agents.start_ttl,
    )
    sweeper = Sweeper(store, hub, clock, sweeping)
    stopped_groups = StoppedGroups(store, clock.wall)
    key = data.signing_key(config.webhooks.key_file, lambda: key_text(os.urandom(KEY_SIZE)))
    sender = _sender(config, store, key)
    watch = StateWatch(
        store, hub.status, clock, config.webhooks.offline_after, config.webhooks.max_pending
    )
    trail = AuditTrail(store, clock.boot, MOST_REFUSALS)
    spans = PendingSpans(store) if config.telemetry.otlp else None
    services = _services(config, store, hub, reserve, key, followers, trail, spans, contents)
    export = exports(config.telemetry, services.metrics.families, spans)
    for subscriber in (
        signal.committed,
        sweeper.committed,
        stopped_groups.committed,
        hub.committed,
        services.authenticator.committed,
        services.sessions.committed,
        services.streams.committed,
        services.followers.committed,
        services.gauges.committed,
        services.gauges.counted,
        services.history.committed,
        inputs.committed,
        sender.committed,
        agent_logs.committed,
    ):
        bus.subscribe(subscriber)
    if spans is not None:
        bus.subscribe(spans.committed)
    copies: dict[str, Loop] = {}
    if config.logs.copies is not None:
        copier = LogCopies(store, logs, open_place(config.logs.copies, config.s3))
        bus.subscribe(copier.committed)
        copies["log copies"] = copier.run
    if config.relay:
        copies["relays"] = services.relays.run
    store.on_commit(bus.publish)
    store.on_arrival(dispatcher.arriving)
    store.on_reconnect(hub.database_back)
    store.on_reconnect(signal.wake)
    return Parts(
        services,
        {
            "dispatcher": dispatcher.run,
            "sweeper": sweeper.run,
            "groups": stopped_groups.run,
            "retention": Retention(
                store,
                clock,
                Deletions(logs.delete, artifacts.delete),
                RetentionSettings(jobs=config.retention.jobs, audit=config.retention.audit),
            ).run,
            "hub": hub.run,
            "audit": trail.run,
            "agent-audit": hub.trail.run,
            "artifacts": ArtifactWatch(
                artifacts, store, clock.wall, config.limits.artifact_ttl
            ).run,
            "contents": ContentUpkeep(contents, clock.wall).run,
            "inputs": InputWatch(inputs, store, config.limits.input_ttl).run,
            "streams": partial(
                services.streams.run,
                Judges(services.authenticator.judge, services.sessions.judge),
            ),
            "connections": services.connections.run,
            "webhooks": sender.run,
            "webhook states": watch.run,
            "agent_logs": partial(agent_logs.run, store.existing, config.agents.log_retention),
            "packer": Packer(logs, store.ended_keys, config.logs.pack_after).run,
            **copies,
            **export.loops,
        },
    )


def _contents(
    config: Config, data: DataDir, store: Store, reserve: Reserve, clock: Clock
) -> ContentUploads:
    wanted, durable = config.contents, config.server.durability == "full"
    limits = ContentLimits(
        *(wanted.max_size, wanted.quota, wanted.max_total),
        *(wanted.retention, wanted.upload_ttl),
    )
    kept = LocalContents(data.contents, reserve, durable)
    return ContentUploads(kept, store, limits, clock.wall)


def _sender(config: Config, store: Store, key: SigningKey) -> Sender:
    wanted = config.webhooks
    networks = Networks(wanted.allowed_networks)
    return Sender(
        store,
        HttpPoster(networks, wanted.timeout, wanted.proxy, wanted.ca_file),
        key,
        CLOCK,
        random.random,
        SenderSettings(
            max_pending=wanted.max_pending,
            keep=wanted.retention,
            disable_after=wanted.disable_after,
        ),
    )


def _services(
    config: Config,
    store: Store,
    hub: Hub,
    reserve: Reserve,
    key: SigningKey,
    followers: Followers,
    trail: AuditTrail,
    spans: PendingSpans | None,
    contents: ContentUploads,
) -> Services:
    limits = config.limits
    authenticator = Authenticator(store)
    provider = open_provider(config.oidc)
    sources = Sources(store, hub, hub.inputs, limits.input_ttl)
    fleet, history, gauges = FleetReader(sources), History(), Gauges(config.relay)
    return Services(
        config=config,
        store=store,
        logs=hub.logs,
        reserve=reserve,
        inputs=hub.inputs,
        artifacts=hub.artifacts,
        contents=contents,
        hub=hub,
        authenticator=authenticator,
        sessions=Sessions(store, authenticator, config.sessions),
        provider_sign_in=None if provider is None else ProviderSignIn(provider, store),
        program_logins=ProgramLogins(store),
        agent_logs=hub.agent_logs,
        followers=followers,
        streams=Streams(limits.max_followers, limits.max_followers_each),
        connections=Connections(
            allowance(raise_file_limit(), limits.max_connections), limits.write_timeout
        ),
        trail=trail,
        bodies=BodyBudget(limits.max_body_memory, limits.max_body_memory // 4),
        sources=sources,
        description=description,
        fleet=fleet,
        overview=OverviewReader(sources, fleet, reserve, history, hub.logs),
        history=history,
        vault=hub.vault,
        relays=Relays(config.relay),
        signing_key=key,
        gauges=gauges,
        metrics=Metrics(
            gauges, sources, hub.logs, reserve, fleet, None if spans is None else spans.families
        ),
    )
