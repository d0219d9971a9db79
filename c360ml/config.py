"""Every setting of a project: name, default, unit and one line of help, read from `c360ml.toml`."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from c360ml.errors import ConfigError

CONFIG_FILE = "c360ml.toml"
INBOX_FOLDER = "data/inbox"
"""Folder of the records that were upserted into the identity store, as files of a source of kind `customers`."""

SourceKind = Literal[
    "salesforce",
    "dynamics365",
    "dms_customers",
    "dms_sales",
    "service_customers",
    "service_records",
    "digital_customers",
    "digital_events",
    "campaigns",
    "campaign_sends",
    "customers",
    "sales",
    "services",
    "events",
]


class Section(BaseModel):
    """A part of the config; an unknown setting is an error, not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Section):
    """One source: its name, kind and files."""

    name: str = Field(pattern=r"^[a-z0-9_]+$", description="Prefix of record ids; unique per customer source.")
    kind: SourceKind = Field(description="What the files hold and how they are read.")
    files: str = Field(description="Glob below the project folder: CSV, JSON, NDJSON or Parquet.")
    customer_source: str | None = Field(
        None, description="Sales, services, events, sends: the source whose customer keys the rows name."
    )
    trust: float = Field(
        0.5, ge=0, le=1, description="Weight of the source when golden records choose a value, 0 to 1."
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Our column name = the file's column (or JSON path), over the kind's own map.",
    )


class Project(Section):
    """What the project is about."""

    name: str = Field("my-customers", description="Name in reports and MLflow.")
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="ISO 4217 code of all amounts.")
    country: str = Field("US", pattern=r"^[A-Z]{2}$", description="ISO 3166 code assumed for phones and addresses.")
    observation_end: date | None = Field(
        None,
        description="Last observed day; without it the latest interaction that is not in the future.",
    )


class Linkage(Section):
    """How records become people."""

    match_probability_threshold: float | None = Field(
        None, gt=0, lt=1, description="Mean match probability at which clusters merge; without it the model's default."
    )
    target_precision: float | None = Field(
        None, gt=0, lt=1, description="Instead of a threshold: expected precision of the pairs above it."
    )
    false_merge_cost: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Instead of a threshold: money lost if two people are taken for one.",
    )
    missed_merge_cost: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Beside it: money lost if one person is taken for two."
    )
    review_cost: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Money that a person's look at a pair costs; `c360ml review` then asks only what pays.",
    )
    classes: Literal["latent", "two"] = Field(
        "latent", description="latent: people are told from households; two: Splink's model, one person or not."
    )
    max_pairs: int = Field(100_000_000, gt=0, description="Most candidate pairs that blocking may produce.")
    seed: int = Field(1, description="Seed of every random choice in training.")
    duplicate_free_sources: tuple[str, ...] = Field(
        (), description="Sources that hold each person once: two of their records are never one person."
    )
    never_link: tuple[tuple[str, str], ...] = Field(
        (), description="Pairs of sources whose records are never one person."
    )
    most_values_per_person: dict[str, PositiveInt] = Field(
        {},
        description="Identifier = most values one person has, e.g. {national_id = 1}: records with more stay apart.",
    )
    most_people_per: dict[str, PositiveInt] = Field(
        {},
        description="Identifier = most people one value belongs to, e.g. {email = 4}: a value of more is no evidence.",
    )
    reviewed_pairs: str = Field(
        "labels/reviewed_pairs.csv",
        description="Reviewers' CSV below the project, used if it is there: record_id_l, record_id_r, decision "
        "(match, non-match or possible).",
    )
    largest_cluster: int = Field(250, gt=0, description="Most records that one person is believed to have.")
    widest_cluster: int = Field(6, gt=0, description="Most links between two records of one person.")
    oversize_clusters: Literal["split", "stop"] = Field(
        "split", description="Clusters above these: split at the weakest merges and list, or stop the run."
    )

    @model_validator(mode="after")
    def _check_threshold(self) -> Linkage:
        costs = (self.false_merge_cost, self.missed_merge_cost)
        if any(cost is None for cost in costs) and any(cost is not None for cost in (*costs, self.review_cost)):
            raise PydanticCustomError(
                "costs", "false_merge_cost and missed_merge_cost go together, and review_cost needs both"
            )
        ways = (self.match_probability_threshold, self.target_precision, self.false_merge_cost)
        if sum(way is not None for way in ways) > 1:
            raise PydanticCustomError(
                "threshold",
                "choose one of match_probability_threshold, target_precision, and the costs of false and missed merges",
            )
        return self


GoldenRule = Literal["most_trusted", "most_recent", "most_frequent", "most_complete", "longest"]
ConsentRule = Literal["any_refusal", "most_trusted", "most_recent", "most_frequent"]


class Golden(Section):
    """Which rule chooses a golden record's value among those of the customer's records."""

    given_name: GoldenRule = Field("most_frequent", description="Rule of the first name; a name beats an initial.")
    middle_name: GoldenRule = Field("longest", description="Rule of the middle name.")
    surname: GoldenRule = Field("most_frequent", description="Rule of the last name; a name beats an initial.")
    suffix: GoldenRule = Field("most_trusted", description="Rule of the suffix.")
    email: GoldenRule = Field("most_trusted", description="Rule of the e-mail; a personal one beats a shared one.")
    phone: GoldenRule = Field("most_recent", description="Rule of the telephone number.")
    date_of_birth: GoldenRule = Field("most_frequent", description="Rule of the date of birth.")
    gender: GoldenRule = Field("most_frequent", description="Rule of the gender.")
    address: GoldenRule = Field("most_recent", description="Rule of the address, which comes whole from one record.")
    status: GoldenRule = Field("most_recent", description="Rule of the status; active anywhere is active.")
    marketing_consent: ConsentRule = Field("any_refusal", description="Rule of consent; any_refusal: one no is a no.")


class Evaluation(Section):
    """Truth to compare with; never read by a model."""

    labelled_pairs: str | None = Field(
        None, description="CSV below the project: record_id_l, record_id_r, is_match (0 or 1)."
    )
    true_ids: str | None = Field(None, description="CSV or Parquet below the project: record_id, true_id.")


class Value(Section):
    """How customers are valued."""

    horizon_weeks: int = Field(52, gt=0, description="Weeks ahead that projected value covers.")
    discount_rate_per_year: float = Field(0.10, ge=0, lt=10, description="Yearly discount rate of future spend.")
    holdout_weeks: int = Field(26, ge=0, description="Last weeks kept aside to measure the forecast; 0 for none.")
    refunds: Literal["net", "drop"] = Field(
        "net",
        description="net: a refund lowers spend; drop: a refund is left out. Never a purchase occasion.",
    )
    model: Literal["auto", "bg_nbd", "mbg_nbd", "pareto_nbd"] = Field(
        "auto", description="Model of purchases; auto: BG/NBD, unless another forecasts held-out weeks clearly better."
    )
    margin: float = Field(1.0, gt=0, le=1, description="Share of revenue that counts as value; 1 is revenue itself.")
    recalibrate: bool = Field(
        False, description="Multiply forecasts by actual / predicted purchases of the held-out weeks."
    )
    identity_draws: int = Field(
        50, ge=0, le=1_000, description="Most draws of who is who that value intervals rest on; 0 for no intervals."
    )


class Segments(Section):
    """Cut points of segments and tiers."""

    vip_percentile: float = Field(0.95, gt=0, lt=1, description="Buyers at or above this value percentile are VIP.")
    premium_percentile: float = Field(0.80, gt=0, lt=1, description="Buyers at or above it are PREMIUM.")
    standard_percentile: float = Field(
        0.40, ge=0, lt=1, description="Buyers at or above it are STANDARD, below ACTIVE."
    )
    engaged_events: int = Field(
        3, gt=0, description="Digital events from which a customer without purchase is ENGAGED."
    )
    inactive_days: int = Field(
        730, gt=0, description="Days without any interaction after which a customer is INACTIVE."
    )
    kmeans_seed: int = Field(1, description="Seed of KMeans and of its stability check.")
    refit: bool = Field(
        False,
        description="Learn RFM cut points and clusters anew, matched to the last run's; without it these stay.",
    )


class Campaigns(Section):
    """How campaign results are counted."""

    conversion_window_days: int = Field(30, gt=0, description="Days after a send within which a purchase counts.")
    attribution: Literal["last_touch", "first_touch"] = Field(
        "last_touch", description="Campaign that a purchase is credited to: the latest or the earliest sent before it."
    )


class Engine(Section):
    """Where the work is done, and what the machine may use."""

    engine: Literal["duckdb", "spark"] = Field(
        "duckdb",
        description="duckdb: this machine; spark: standardize, link, identify, collect and profile on a Spark session.",
    )
    memory_limit_gb: float | None = Field(None, gt=0, description="DuckDB's memory; without it 60 % of the machine.")
    threads: int | None = Field(None, gt=0, description="DuckDB's threads; without it all cores.")


class Config(Section):
    """A whole project's settings.

    >>> Config().value.horizon_weeks
    52
    """

    project: Project = Project()
    sources: tuple[Source, ...] = ()
    linkage: Linkage = Linkage()
    golden: Golden = Golden()
    evaluation: Evaluation = Evaluation()
    value: Value = Value()
    segments: Segments = Segments()
    campaigns: Campaigns = Campaigns()
    engine: Engine = Engine()

    @classmethod
    def load(cls, path: Path) -> Config:
        """Read and check a `c360ml.toml`.

        Raises:
            ConfigError: the file is missing, not TOML, or a setting is wrong.
        """
        if not path.is_file():
            raise ConfigError(f"a project must hold {CONFIG_FILE}", got=f"no file {path}", hint="run `c360ml init DIR`")
        try:
            return cls.parse(tomllib.loads(path.read_text("utf-8-sig")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{path.name} must be valid TOML in UTF-8", got=str(error), hint="mend that line"
            ) from error

    @classmethod
    def parse(cls, settings: dict[str, Any]) -> Config:
        """Check settings that were read from TOML or JSON.

        Raises:
            ConfigError: a setting is unknown or out of range; the message names it.
        """
        try:
            config = cls.model_validate(settings)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ConfigError(
                f"setting {where} is wrong: {first['msg']}",
                got=repr(first.get("input")),
                hint="see `c360ml settings`",
            ) from error
        names = [source.name for source in config.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError("each source must have its own name", got=f"twice: {twice}", hint="rename one of them")
        return config
