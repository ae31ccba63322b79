// Package exports is the code under test: it starts, watches and stops exports of a cloud function.
package exports

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Client calls Tencent Cloud's API. The official SDK does the same; this one needs no module but Go's own.
type Client struct {
	URL, Region, SecretID, SecretKey string
}

// APIError is a refusal of the API.
type APIError struct {
	Code, Message string
}

func (e *APIError) Error() string {
	return e.Code + ": " + e.Message
}

// Start invokes the function export asynchronously; the id of its event.
func (c *Client) Start(rows int) (string, error) {
	var answer struct{ RequestId string }
	event := fmt.Sprintf(`{"rows": %d}`, rows)
	err := c.call("Invoke", map[string]any{"FunctionName": "export", "InvocationType": "Event", "ClientContext": event}, &answer)
	return answer.RequestId, err
}

// Status is the status of an event, as in RUNNING.
func (c *Client) Status(id string) (string, error) {
	var answer struct{ Result struct{ Status string } }
	err := c.call("GetAsyncEventStatus", map[string]any{"InvokeRequestId": id}, &answer)
	return answer.Result.Status, err
}

// Running is the ids of running exports, the newest first.
func (c *Client) Running() ([]string, error) {
	var answer struct {
		EventList []struct{ InvokeRequestId string }
	}
	err := c.call("ListAsyncEvents", map[string]any{"FunctionName": "export", "Status": []string{"RUNNING"}}, &answer)
	ids := []string{}
	for _, event := range answer.EventList {
		ids = append(ids, event.InvokeRequestId)
	}
	return ids, err
}

// Stop lets an export end after its row.
func (c *Client) Stop(id string) error {
	return c.call("TerminateAsyncEvent", map[string]any{"FunctionName": "export", "InvokeRequestId": id, "GraceShutdown": true}, nil)
}

func (c *Client) call(action string, parameters map[string]any, answer any) error {
	body, err := json.Marshal(parameters)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	c.sign(request, action, body, time.Now())
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var envelope struct{ Response json.RawMessage }
	if err := json.NewDecoder(response.Body).Decode(&envelope); err != nil {
		return err
	}
	var refused struct{ Error *APIError }
	if err := json.Unmarshal(envelope.Response, &refused); err != nil {
		return err
	}
	if refused.Error != nil {
		return refused.Error
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(envelope.Response, answer)
}

// sign adds the headers of TC3-HMAC-SHA256 (document 17235).
func (c *Client) sign(request *http.Request, action string, body []byte, now time.Time) {
	const contentType = "application/json"
	date := now.UTC().Format("2006-01-02")
	timestamp := strconv.FormatInt(now.Unix(), 10)
	canonical := fmt.Sprintf("POST\n/\n\ncontent-type:%s\nhost:%s\n\ncontent-type;host\n%s", contentType, host(c.URL), hash(body))
	scope := date + "/scf/tc3_request"
	text := "TC3-HMAC-SHA256\n" + timestamp + "\n" + scope + "\n" + hash([]byte(canonical))
	key := []byte("TC3" + c.SecretKey)
	for _, part := range []string{date, "scf", "tc3_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	for name, value := range map[string]string{
		"Content-Type":   contentType,
		"X-TC-Action":    action,
		"X-TC-Version":   "2018-04-16",
		"X-TC-Region":    c.Region,
		"X-TC-Timestamp": timestamp,
		"Authorization": fmt.Sprintf("TC3-HMAC-SHA256 Credential=%s/%s, SignedHeaders=content-type;host, Signature=%s",
			c.SecretID, scope, hex.EncodeToString(key)),
	} {
		request.Header.Set(name, value)
	}
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func host(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return address
	}
	return parsed.Host
}
