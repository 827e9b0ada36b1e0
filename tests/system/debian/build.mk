# SPDX-License-Identifier: BSD-3-Clause
# The Debian guest: Debian's unmodified kernel, an initramfs with busybox, and one definition per job.
# Everything goes to $(B)/debian, which "make clean" keeps (the kernel is a download).

DEBIAN	:= $(B)/debian
debian-src := tests/system/debian
# quiet: the console is slow; panic=-1: a panic resets instead of hanging; the mitigations protect against
# neighbours the guest has not got; random.trust_cpu: no wait for entropy; cryptomgr.notests: the self tests of
# the kernel's ciphers are 60 % of the boot.
DEBIAN_CMDLINE := console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on cryptomgr.notests

# name:memory in MiB:vcpus:job and its parameters:initrd:kernel. What name.vm says is added to the definition's [vm], what
# name.devices says to its end.
debian-guests := \
	guest:256:1:job=shell \
	poweroff:256:1:job=poweroff \
	selftest:256:1:job=selftest,want_cpus=1,want_mib=256 \
	selftest-512m:512:1:job=selftest,want_cpus=1,want_mib=512 \
	selftest-smp:256:2:job=selftest,want_cpus=2,want_mib=256,sleep_max=1000 \
	selftest-32:512:32:job=selftest,want_cpus=32,want_mib=512,sleep_max=1000 \
	selftest-686:256:2:job=selftest,want_cpus=2,want_mib=256,sleep_max=1000:686.cpio:vmlinuz32 \
	smp:256:4:job=smp:smp.cpio \
	disk:256:1:job=disk:disk.cpio \
	ide:256:1:job=disk,bus=ide:disk.cpio \
	net:256:2:job=net:disk.cpio \
	files:256:1:job=files:disk.cpio \
	serve:256:1:job=peer,role=serve:disk.cpio \
	fetch:256:1:job=peer,role=fetch:disk.cpio \
	tap:256:1:job=peer,role=fetch,back=1:disk.cpio \
	tsc:256:1:job=tsc,tsc_early_khz=1000000,no_timer_check,lapic=notscdeadline
debian-field = $(word $(2),$(subst :, ,$(1)))
debian-tomls := $(foreach g,$(debian-guests),$(DEBIAN)/$(call debian-field,$(g),1).toml)

debian-modules := $(addprefix $(DEBIAN)/modules/,$(addsuffix .ko,virtio virtio_ring virtio_pci_modern_dev \
	virtio_pci_legacy_dev virtio_pci virtio_blk failover net_failover virtio_net virtio_console virtio-rng \
	scsi_common scsi_mod sd_mod cdrom sr_mod libata ata_piix isofs efivarfs))

# The last one is for the Debian host of tests/system/linux_net.t.
$(DEBIAN)/vmlinuz $(DEBIAN)/busybox $(debian-modules) $(DEBIAN)/modules/tun.ko &:
	@mkdir -p $(DEBIAN)
	$(call say,FETCH,$(DEBIAN)/vmlinuz)
	$(Q)$(debian-src)/fetch.sh $(DEBIAN)

# Programs without C library.
debian-bins := $(DEBIAN)/tsc $(DEBIAN)/debugexit
disk-bins := $(DEBIAN)/cdtray
$(debian-bins) $(disk-bins): $(DEBIAN)/%: $(debian-src)/%.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -Os -ffreestanding -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables $(WARN) \
		-nostdlib -static -s -Wl,--build-id=none -o $@ $<

# One with threads.
$(DEBIAN)/smp_stress: $(debian-src)/smp_stress.c $(debian-src)/build.mk
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(TOOL_CFLAGS) -static -s -pthread -o $@ $<

debian-scripts := $(addprefix $(debian-src)/,init selftest)
$(DEBIAN)/initramfs.cpio: $(debian-src)/mkinitramfs.sh $(debian-scripts) $(debian-bins) $(DEBIAN)/busybox
	$(call say,CPIO,$@)
	$(Q)$(debian-src)/mkinitramfs.sh $(DEBIAN)/busybox $@ $(debian-scripts) $(debian-bins)

# A 32-bit guest, if its packages can be had: without them debian.t skips it.
$(DEBIAN)/686.cpio: $(debian-src)/mkinitramfs.sh $(debian-src)/fetch32.sh $(debian-scripts) $(debian-bins)
	$(call say,CPIO,$@)
	$(Q)$(debian-src)/fetch32.sh $(DEBIAN) && \
		$(debian-src)/mkinitramfs.sh $(DEBIAN)/busybox32 $@ $(debian-scripts) $(debian-bins) || \
		echo "debian: the packages of the 32-bit guest are not to be had"

smp-files := $(debian-src)/smp $(DEBIAN)/smp_stress
$(DEBIAN)/smp.cpio: $(debian-src)/mkinitramfs.sh $(debian-scripts) $(smp-files) $(debian-bins) $(DEBIAN)/busybox
	$(call say,CPIO,$@)
	$(Q)$(debian-src)/mkinitramfs.sh $(DEBIAN)/busybox $@ $(debian-scripts) $(debian-bins) $(smp-files)

# For the guests with disks and network cards: modules and file system tools besides, and an image.
disk-files := $(addprefix $(debian-src)/,disk net netlib peer files) $(debian-modules)
$(DEBIAN)/disk.cpio: $(debian-src)/mkinitramfs.sh $(debian-scripts) $(disk-files) $(debian-bins) $(disk-bins) $(DEBIAN)/busybox
	$(call say,CPIO,$@)
	$(Q)$(debian-src)/mkinitramfs.sh $(DEBIAN)/busybox $@ $(debian-scripts) $(debian-bins) $(disk-bins) $(disk-files) \
		/usr/sbin/mke2fs /usr/sbin/e2fsck
$(DEBIAN)/disk.img: $(debian-src)/mkdisk.sh
	$(call say,DISK,$@)
	$(Q)$< $@
$(DEBIAN)/disk.iso: $(DEBIAN)/disk.img ;

define debian-rule
$(DEBIAN)/$(call debian-field,$(1),1).toml: $(debian-src)/guest.toml.in $(debian-src)/build.mk \
		$(wildcard $(debian-src)/$(call debian-field,$(1),1).devices $(debian-src)/$(call debian-field,$(1),1).vm)
	$$(call say,GEN,$$@)
	@mkdir -p $$(@D)
	$$(Q)sed -e 's/@NAME@/debian-$(call debian-field,$(1),1)/; s/@MEMORY@/$(call debian-field,$(1),2)M/' \
		-e 's/@VCPUS@/$(call debian-field,$(1),3)/' \
		-e 's/@CMDLINE@/$(DEBIAN_CMDLINE) $(subst $(comma), ,$(call debian-field,$(1),4))/' \
		-e 's/@KERNEL@/$(or $(call debian-field,$(1),6),vmlinuz)/' \
		-e 's/@INITRD@/$(or $(call debian-field,$(1),5),initramfs.cpio)/' \
		-e '/^vcpus/r $$(or $$(filter %.vm,$$^),/dev/null)' \
		$$< $$(filter %.devices,$$^) > $$@
endef
$(foreach g,$(debian-guests),$(eval $(call debian-rule,$(g))))

.PHONY: debian-guest
debian-guest: $(DEBIAN)/vmlinuz $(DEBIAN)/initramfs.cpio $(DEBIAN)/686.cpio $(DEBIAN)/smp.cpio $(DEBIAN)/disk.cpio \
	$(DEBIAN)/disk.img $(DEBIAN)/disk.iso $(debian-tomls)
