"""Crawls the pages beside it with Scrapy, which keeps what it has seen in a job directory."""

import sys
from pathlib import Path

import scrapy
from scrapy.crawler import CrawlerProcess

directory = Path(sys.argv[1])


class Pages(scrapy.Spider):
    name = "pages"
    start_urls = [Path(__file__).with_name("index.html").as_uri()]  # noqa: RUF012  as its documentation has it

    def parse(self, response):
        yield {"title": response.css("title::text").get() * 1000}
        yield from response.follow_all(css="a")


settings = {
    "JOBDIR": str(directory / "job"),
    "FEEDS": {directory / "items.jsonl": {"format": "jsonlines", "overwrite": False}},
    "TELNETCONSOLE_ENABLED": False,
}
process = CrawlerProcess(settings)
crawler = process.create_crawler(Pages)
process.crawl(crawler)
process.start()
sys.exit(0 if crawler.stats.get_value("finish_reason") == "finished" else 1)
