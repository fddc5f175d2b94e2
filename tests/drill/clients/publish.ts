/** Publishes a report through the generated client, as an app would, and prints what became of it. */
import { listIncidents, publish, publishBatch, type ReportSubmittedEvent } from "./client";

declare const process: { argv: string[]; exit(status: number): never };

async function main(baseUrl: string, text: string): Promise<void> {
  const event: ReportSubmittedEvent = JSON.parse(text);
  const sent = await publish({ baseUrl, body: event, headers: { Prefer: "wait=20" } });
  if (sent.error !== undefined) throw new Error(sent.error.detail);
  const found = await listIncidents({ baseUrl, query: { search: event.subject } });
  if (found.error !== undefined) throw new Error(found.error.detail);
  const again = await publishBatch({ baseUrl, body: [event], headers: { Prefer: "wait=20" } });
  if (again.error !== undefined) throw new Error(again.error.detail);
  const outcomes = [sent.data.outcome, again.data.results[0].outcome];
  console.log(JSON.stringify({ outcomes, number: found.data.incidents[0].short_number }));
}

main(process.argv[2], process.argv[3]).catch((error) => {
  console.error(error);
  process.exit(1);
});
