/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file ide.h
 * What an IDE controller is made of. controller.c: the PCI function, ports and the device class. channel.c: the task
 * file, phases of a command, interrupts, resets. run.c: data between disk, buffer and guest memory. dma.c: the
 * descriptor tables of the bus master. ata.c, identify.c: disks. atapi.c, mmc.c: CD-ROM drives. save.c: saved state.
 *
 * Sections of ATA/ATAPI-6 (T13 1410D), of the PIIX3 data sheet (Intel 290550), and of "Programming Interface for Bus
 * Master IDE Controller" 1.0.
 *
 * A command goes through phases. In IDE_RUN the drive is busy: the channel belongs to its runner, which moves data
 * without the lock, and whatever the guest writes has no effect before the runner is done. In all other phases the
 * lock guards everything.
 */
#ifndef V3_DEVICES_IDE_IDE_H
#define V3_DEVICES_IDE_IDE_H

#include "palacios/blk.h"
#include "palacios/pci.h"
#include "palacios/save.h"
#include "palacios/types.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#define IDE_NCHANNELS 2
#define IDE_NDRIVES   2 /* per channel */
#define IDE_BUF	      0x8000u
#define IDE_BUF_PAGES (IDE_BUF / (uint32_t)V3_PAGE_SIZE)
#define IDE_PIECES    64       /* of guest memory in one step */
#define IDE_STEP      0x40000u /* bytes moved in one step */

#define ATA_SECTOR 512u

/* Command block registers, 7: offsets from the base port. */
enum ide_reg {
	IDE_DATA,
	IDE_ERROR, /* reading; features when writing */
	IDE_COUNT,
	IDE_LBA_LOW,
	IDE_LBA_MID,
	IDE_LBA_HIGH,
	IDE_DEVICE,
	IDE_STATUS, /* reading; command when writing */
	IDE_NREGS
};

#define IDE_STATUS_ERR	0x01
#define IDE_STATUS_DRQ	0x08
#define IDE_STATUS_DSC	0x10 /* seek complete */
#define IDE_STATUS_DRDY 0x40
#define IDE_STATUS_BSY	0x80

#define IDE_ERROR_ABRT 0x04
#define IDE_ERROR_IDNF 0x10
#define IDE_ERROR_UNC  0x40

#define IDE_DEVICE_DEV 0x10
#define IDE_DEVICE_LBA 0x40

#define IDE_CONTROL_NIEN 0x02
#define IDE_CONTROL_SRST 0x04
#define IDE_CONTROL_HOB	 0x80

struct ide;
struct ide_channel;
struct ide_drive;

/** What a kind of drive does. Static. Channel lock held in all of them. */
struct ide_kind {
	uint8_t signature_mid, signature_high; /* 9.12 */
	uint8_t status_reset;
	/** The guest wrote the command register. */
	void (*command)(struct ide_drive *d, uint8_t code);
	/** The guest has sent what IDE_RUN would not move: the packet of a PACKET command. NULL: never. */
	void (*packet)(struct ide_drive *d);
	/** The guest is about to see @p n bytes of data, or (0) the end of a command. NULL: registers need not say so. */
	void (*data)(struct ide_drive *d, uint32_t n);
	/** A step of IDE_RUN failed: end the command with an error. */
	void (*failed)(struct ide_drive *d, int err);
	/** Settings to their power-on values; @p hard: by a reset of the VM, not by SRST. */
	void (*reset)(struct ide_drive *d, bool hard);
};

struct ide_drive {
	struct ide_channel *ch; /* not owned; outlives the drive */
	const struct ide_kind *kind;
	struct v3_blk *blk; /* owned */
	char serial[20];    /* padded with spaces */
	uint64_t nblocks;   /* sectors of ATA_SECTOR, or of 2048 bytes of a CD-ROM */
	uint8_t unit;	    /* 0 master, 1 slave */
	/* Registers: the value written last and the one before (6.20, 48-bit addresses). */
	uint8_t reg[IDE_NREGS][2];
	uint8_t error, status;
	uint8_t mode; /* transfer mode of SET FEATURES: 0x20 + n is multiword DMA n, else PIO */
	/* Disks. */
	uint8_t multiple;   /* sectors per data block of READ MULTIPLE; 0: not set */
	uint8_t heads, spt; /* geometry that INITIALIZE DEVICE PARAMETERS set */
	bool write_through; /* the write cache is off */
	bool standby;
	/* CD-ROM drives. */
	uint32_t sense;	    /* key << 16 | code << 8 | qualifier of the last failure */
	uint32_t attention; /* unit attention that is due, as a sense; 0: none */
	bool no_medium;	    /* ejected; back with the next reset of the VM */
	bool locked;	    /* the guest forbids to eject */
	uint8_t event;	    /* media event that was not told yet */
};

enum ide_phase {
	IDE_IDLE,
	IDE_PIO,      /* the guest moves data through the data register */
	IDE_WAIT_DMA, /* a DMA command waits for the bus master to be started */
	IDE_RUN,      /* a step is under way */
	IDE_STALL,    /* the descriptor table was too short: until a reset */
};

/** The data of a command. */
struct ide_xfer {
	bool write; /* to the drive */
	bool dma;
	bool disk;	/* the data are the disk's; else they are in the buffer */
	bool packet;	/* the buffer gets a command packet */
	bool flush;	/* make what was written safe at the end */
	bool quiet;	/* no interrupt before the guest's next action: first block of a write */
	bool silent;	/* no interrupt at the end: reads by PIO */
	uint32_t chunk; /* bytes of a data block of PIO */
	uint64_t
		offset; /* on the disk, of the next byte that is moved between disk and buffer or memory */
	uint64_t left;	   /* bytes still to be moved there */
	uint32_t pos, len; /* in the buffer: next byte, and how many are there or are expected */
	uint32_t drq_end;  /* in the buffer: end of the data block */
	uint32_t step;	   /* bytes of the step that is under way */
};

/** A bus master channel, and how far it is in its descriptor table. */
struct ide_dma {
	uint8_t command, status;
	uint32_t table;
	uint32_t next;	     /* address of the next descriptor */
	uint32_t addr, left; /* of the current one: what is left of it */
	bool last;	     /* the current one ends the table */
};

struct ide_channel {
	struct ide *ide; /* not owned; holds this */
	uint8_t index;
	struct v3_lock lock;		      /* guards all below but what is the runner's */
	struct ide_drive *drive[IDE_NDRIVES]; /* not owned; NULL: none */
	uint8_t active;			      /* unit whose command it is, if not IDE_IDLE */
	uint8_t selected;		      /* unit */
	uint8_t control;
	bool intrq;
	bool start;	  /* the phase has just become IDE_RUN */
	bool reset_after; /* a software reset came in IDE_RUN */
	enum ide_phase phase;
	struct ide_xfer x;
	struct ide_dma dma;
	uint8_t *buf; /* owned, IDE_BUF bytes */
	/* The runner's. */
	struct v3_blk_req req;
	struct v3_blk_piece piece[IDE_PIECES];
	uint32_t piece_gpa[IDE_PIECES]; /* DMA: where each is in guest memory */
	struct v3_work work;		/* goes on with IDE_RUN */
	uint32_t resume;		/* why it was queued, enum ide_resume */
	int result;			/* of a step that was pending */
};

struct ide {
	struct v3_vm *vm;	  /* not owned; outlives the device */
	struct v3_pci_func *func; /* owned */
	struct ide_channel channel[IDE_NCHANNELS];
};

/** The drive that is selected; NULL: there is none. */
static inline struct ide_drive *v3_ide_selected(struct ide_channel *ch)
{
	return ch->drive[ch->selected];
}

/** The drive whose command it is; the phase is not IDE_IDLE. */
static inline struct ide_drive *v3_ide_active(struct ide_channel *ch)
{
	return ch->drive[ch->active];
}

/* ---- channel.c; channel lock held ---- */

/** Command block registers but the data register. */
uint8_t v3_ide_read(struct ide_channel *ch, unsigned reg);
void v3_ide_write(struct ide_channel *ch, unsigned reg, uint8_t value);
/** The data register, 1 to 4 bytes. */
uint32_t v3_ide_read_data(struct ide_channel *ch, unsigned size);
void v3_ide_write_data(struct ide_channel *ch, unsigned size, uint32_t value);
/** Alternate status and device control. */
uint8_t v3_ide_read_status(struct ide_channel *ch);
void v3_ide_write_control(struct ide_channel *ch, uint8_t value);
/** Power-on state; no vcpu runs, nothing is pending. */
void v3_ide_reset(struct ide_channel *ch);

/** The command is done without error; interrupt. */
void v3_ide_end(struct ide_drive *d);
/** It is done, with error register @p error; interrupt. */
void v3_ide_abort(struct ide_drive *d, uint8_t error);
/** Registers as after a reset: they say what the drive is (9.12). */
void v3_ide_signature(struct ide_drive *d);
/** Begin to move the data that ch->x describes. */
void v3_ide_begin(struct ide_drive *d, const struct ide_xfer *x);
/** The guest sees the next data block of PIO. */
void v3_ide_data_block(struct ide_channel *ch);
/** The bus master was started: go on with a command that waits for it. */
void v3_ide_dma_started(struct ide_channel *ch);
/** A software reset that came in IDE_RUN, which has ended. */
void v3_ide_soft_reset(struct ide_channel *ch);

/* ---- run.c ---- */

/** The phase is IDE_RUN: move data until the guest is needed or the disk takes its time. No lock held. */
void v3_ide_run(struct ide_channel *ch);
/** Prepare a channel for it. */
void v3_ide_run_init(struct ide_channel *ch);
/** Wait for what the disks have of the channel, and forget it. thread, no vcpu runs. */
void v3_ide_run_drain(struct ide_channel *ch);
/** Wait for the step that a disk has, and do what follows, but not the next one. thread, no vcpu runs. */
void v3_ide_run_settle(struct ide_channel *ch);
/** The state has been loaded: go on if the phase is IDE_RUN. */
void v3_ide_run_loaded(struct ide_channel *ch);

/* ---- dma.c ---- */

/** Registers of the bus master, 2.0, one byte; channel lock held. */
uint8_t v3_ide_dma_read(struct ide_channel *ch, unsigned off);
void v3_ide_dma_write(struct ide_channel *ch, unsigned off, uint8_t value);
void v3_ide_dma_reset(struct ide_channel *ch);
/** Is it started, in this direction? Lock held. */
bool v3_ide_dma_ready(const struct ide_channel *ch, bool write);
/**
 * The next pieces of guest memory, at most @p max bytes, to ch->piece. The runner only.
 * @param len  set to their bytes; less than @p max: no more room for pieces, or (0) the table ends
 * @return V3_OK; V3_EFAULT: not RAM, or the function may not use memory
 */
int v3_ide_dma_gather(struct ide_channel *ch, uint32_t max, uint32_t *len);
/** A command is done (@p failed: a descriptor was wrong); lock held. */
void v3_ide_dma_end(struct ide_channel *ch, bool failed);
/** The pieces of the last step have been written, if they were to be: for those who track writes. */
void v3_ide_dma_wrote(struct ide_channel *ch);
/** The drive interrupts; lock held. */
void v3_ide_dma_interrupt(struct ide_channel *ch);

/* ---- save.c ---- */

extern const struct v3_save_table v3_ide_save, v3_ide_drive_save; /* of struct ide, ide_drive */

/* ---- drives ---- */

extern const struct ide_kind v3_ide_ata, v3_ide_atapi;

/** Do the command packet @p cdb of 12 bytes (mmc.c). */
void v3_ide_mmc_command(struct ide_drive *d, const uint8_t *cdb);
/** Answer with the first @p len bytes of the buffer, but no more than @p max. */
void v3_ide_atapi_reply(struct ide_drive *d, uint32_t len, uint32_t max);
/** Answer with blocks of the medium. */
void v3_ide_atapi_read(struct ide_drive *d, uint32_t lba, uint32_t nblocks);
/** End with CHECK CONDITION. @param sense  IDE_SENSE() */
void v3_ide_atapi_check(struct ide_drive *d, uint32_t sense);

#define IDE_HEADS    16 /* geometry that IDENTIFY DEVICE tells, 8.15.8 */
#define IDE_SPT	     63
#define IDE_MULTIPLE 16 /* sectors of a data block, at most */

#define IDE_CD_BLOCK			2048u
#define IDE_CDB_LEN			12u
#define IDE_SENSE(key, code, qualifier) ((uint32_t)(key) << 16 | (code) << 8 | (qualifier))

/** Answer of IDENTIFY DEVICE or IDENTIFY PACKET DEVICE, 512 bytes. */
void v3_ide_identify_disk(const struct ide_drive *d, uint8_t *buf);
void v3_ide_identify_cdrom(const struct ide_drive *d, uint8_t *buf);
/** SET FEATURES, transfer modes (8.46). @return false: no such mode */
bool v3_ide_set_mode(struct ide_drive *d, uint8_t mode);

#endif
