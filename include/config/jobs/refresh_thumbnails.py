"""A picture with its licence for each taxon that GBIF has resolved, from Wikimedia Commons: etl_jobs.taxon_image.

Needs the connection `wikimedia` whose extras hold `contact`, the address or mail of whoever runs this.
"""

from __future__ import annotations

from datetime import timedelta

from sluiceway.jobs.definition import Job
from sluiceway.jobs.taxa import gbif, wikimedia

JOB = Job(
    due="""
        SELECT DISTINCT coalesce(accepted_key, taxon_key) AS item
        FROM etl_jobs.taxon
        WHERE state IN ('resolved', 'synonym') AND coalesce(accepted_key, taxon_key) IS NOT NULL
    """,
    needs_results=(gbif.TAXA,),
    work=wikimedia.thumbnails,
    results=wikimedia.IMAGES,
    service=wikimedia.WIKIDATA,
    others=(wikimedia.COMMONS,),
    batch=50,
    # a picture gets another name, another licence, or is deleted
    recheck_after=timedelta(days=90),
)
