"""Crawls the pages beside it with Scrapy, which keeps what it has seen in a job directory; "filtered" starts once."""

import sys
from pathlib import Path

import scrapy
from scrapy.crawler import CrawlerProcess

directory, filtered = Path(sys.argv[1]), "filtered" in sys.argv


class Pages(scrapy.Spider):
    name = "pages"

    async def start(self):  # as it is made of start_urls where it is not filtered
        yield scrapy.Request(Path(__file__).with_name("index.html").as_uri(), dont_filter=not filtered)

    def parse(self, response):
        yield {"title": response.css("title::text").get() * 1000}
        yield from response.follow_all(css="a")


jsonl = {directory / "items.jsonl": {"format": "jsonlines", "overwrite": False}}
settings = {"JOBDIR": str(directory / "job"), "FEEDS": jsonl, "TELNETCONSOLE_ENABLED": False, "CONCURRENT_REQUESTS": 1}
process = CrawlerProcess(settings)
crawler = process.create_crawler(Pages)
process.crawl(crawler)
process.start()
sys.exit(0 if crawler.stats.get_value("finish_reason") == "finished" else 1)
