// The code under test: it starts, watches and stops exports of a cloud function, by the official SDK.

const { Client } = require("tencentcloud-sdk-nodejs-scf").scf.v20180416;

class Exports {
  constructor(endpoint, protocol = "https://") {
    const { TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY, TENCENTCLOUD_REGION } = process.env;
    this.client = new Client({
      credential: { secretId: TENCENTCLOUD_SECRET_ID, secretKey: TENCENTCLOUD_SECRET_KEY },
      region: TENCENTCLOUD_REGION,
      profile: { httpProfile: { endpoint, protocol } },
    });
  }

  async start(rows) {
    const answer = await this.client.Invoke({
      FunctionName: "export",
      InvocationType: "Event",
      ClientContext: JSON.stringify({ rows }),
    });
    return answer.RequestId;
  }

  async status(id) {
    return (await this.client.GetAsyncEventStatus({ InvokeRequestId: id })).Result.Status;
  }

  async running() {
    const answer = await this.client.ListAsyncEvents({ FunctionName: "export", Status: ["RUNNING"] });
    return answer.EventList.map((event) => event.InvokeRequestId);
  }

  async stop(id) {
    await this.client.TerminateAsyncEvent({ FunctionName: "export", InvokeRequestId: id, GraceShutdown: true });
  }
}

module.exports = { Exports };
