// Package smtpchannel sends notifications as mails through a mail server. [Open]
// returns a [Channel]. It uses github.com/wneessen/go-mail.
//
// # URL
//
// The server with its port, and the sender. User and password are percent-encoded:
//
//	smtp://user:password@mail.example.com:587/?from=Shop+<shop@example.com>
//	smtps://user:password@mail.example.com:465/?from=shop@example.com
//
// smtp: uses STARTTLS and smtps: TLS from the start; the ports' defaults are 587 and
// 465. A password may also be given in [Options]. Without a user the channel does not
// log in; with one it uses PLAIN, LOGIN or CRAM-MD5. The options are:
//
//	from                   the sender, with or without a name; required
//	reply_to               who gets the replies
//	tls                    starttls (the default) or none: everything, the password
//	                       too, is sent in plain text; for smtp: only
//	connections            10, how many at most; further mails wait
//	cacertfile             the authorities of the server's certificate, a file in PEM
//	list_unsubscribe       an https: or mailto: address for the header of that name,
//	                       in mails to users; {user_id} in it stands for the user
//	list_unsubscribe_post  true if that https: address takes the POST of RFC 8058
//
// Open refuses an option that is unknown, given twice, without effect or unreadable.
//
// # Mail
//
// One mail for each notification, to one recipient. It has the notification's text,
// and its HTML as an alternative. The subject is one line. Without content, the mail
// has the order's id, quantity and product. These headers tell what it is:
//
//	Message-ID         <id@domain of the sender>, with the notification's id; with its
//	                   SHA-256 if the id does not fit into a Message-ID
//	Auto-Submitted     auto-generated, so that no program answers
//	X-Orderflow-Event  the event's id, if the mail is about one
//	X-Orderflow-Test   true in a test, whose subject begins with [Test]
//
// # Delivery semantics
//
// A notification is sent once the server has accepted the mail by its answer to the text.
// If that answer is lost, the server may or may not have the mail. It is then sent again,
// with the same Message-ID.
//
// A session with the server is kept for the next mail, and ends when it has been idle
// for 30 s. If the server has ended an idle session, the mail is sent on a new one, which
// is no failure.
//
// # Failure
//
// Only an answer to RCPT, DATA or the text can be about the mail:
//
//	outcome   answer, but not with 4.3.*, 5.3.* (except 5.3.4), 4.5.* or 5.5.*
//	rejected  501, 521, 541 or 550 to 556
//	refused   450 or 451, or any other 4xx but 421 with 4.1.*, 4.2.* or 4.6.*
//
// So greylisting, a 450 or 451, is a refusal of one recipient. Send marks a rejection
// by [ports.Permanent], and leaves a refusal unmarked. It marks everything else by
// [ports.Postpone]: no connection, a fault of TLS, a refused login or sender, a full
// disk, 421, an unreadable answer, and none.
//
// Connecting takes at most 10 s, the first command on a kept session 5 s, each other
// command 30 s, and the server's answer to the text 5 minutes. All end with Send's
// context. A server may send 128 KiB at each step.
// Answers and errors have one line of at most 1 KiB, without the password and with
// the recipient's address masked.
package smtpchannel
