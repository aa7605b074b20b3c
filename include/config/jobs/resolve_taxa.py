"""Matches the scientific names of the warehouse against the Catalogue of Life XR at GBIF: etl_jobs.taxon."""

from __future__ import annotations

from datetime import timedelta

from sluiceway.jobs.definition import Job
from sluiceway.jobs.taxa import gbif, names

JOB = Job(
    due="SELECT DISTINCT scientific_name AS item FROM bird_banding_species WHERE scientific_name IS NOT NULL",
    key=names.key,
    work=gbif.match,
    decide=gbif.decide,
    results=gbif.TAXA,
    service=gbif.GBIF,
    batch=200,
    # a new release makes its names due sooner: check_backbone
    recheck_after=timedelta(days=365),
)
