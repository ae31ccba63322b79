const { Exports } = require("./exports");

// The clock and the events of the emulator: https requests of the SDK have nothing of this.
async function control(path, sent) {
  const options = sent && { method: "POST", body: JSON.stringify(sent) };
  const answer = await fetch(`${process.env.SCF_ENDPOINT_URL}/_scf/${path}`, options);
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error.message);
  return found;
}

const exported = new Exports(process.env.SCF_ENDPOINT, "http://");

beforeEach(() => control("reset", {}));

test("an export of an hour ends when an hour has passed", async () => {
  const id = await exported.start(360);
  await control("clock/advance", { seconds: 3599 });
  expect(await exported.status(id)).toBe("RUNNING");
  expect(await exported.running()).toEqual([id]);

  await control("clock/advance", { seconds: 1 });

  expect(await exported.status(id)).toBe("FINISHED");
  expect(await exported.running()).toEqual([]);
  const event = await control(`events/${id}`);
  expect(event.result).toEqual({ rows: 360 });
  expect(event.ended_at).toBe("2026-01-01T01:00:00+00:00");
});

test("an export that is stopped ends after its row", async () => {
  const id = await exported.start(360);
  await control(`events/${id}/wait_for_log`, { text: "row 3" });

  await exported.stop(id);
  const event = await control(`events/${id}/wait`, {});

  expect(event.status).toBe("FINISHED");
  expect(event.result).toEqual({ rows: 3 });
  expect(event.timeline).toMatch(/\+30 s .*SIGTERM/);
  expect(event.log.map((line) => line.text)).toContain("stopped after row 3");
});

test("each test begins anew", async () => {
  expect(await control("clock")).toEqual({ now: "2026-01-01T00:00:00+00:00" });
  expect(await control("events")).toEqual({ events: [] });
});
